//! The WebSocket server, sending back what it gets instead of serving it: the endpoint of
//! `scripts/autobahn.sh`. It takes the flags of the server.

use std::io::Write as _;

use busload_frontend::{Server, WsArgs};
use clap::Parser;

/// The longest message of the suite.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    ws: WsArgs,
}

fn main() -> anyhow::Result<()> {
    let mut settings = Flags::parse().ws.settings()?;
    settings.limits.message_bytes = MESSAGE_BYTES;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let server = Server::start(&settings)?;
        server.echo();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", server.url())?;
        out.flush()?;
        server.run(std::future::pending()).await?;
        Ok(())
    })
}
