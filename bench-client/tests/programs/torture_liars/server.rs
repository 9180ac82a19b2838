//! The liar as a process: this test binary, started again, since it is killed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::bank::{Bank, Lie};
use super::front;
use super::tally::Moved;
use crate::common::runtime;

/// Set in the process that is a liar: how it lies.
pub(crate) const LIE: &str = "BUSLOAD_LIE";
/// Where it listens, and where it keeps its ledger and its tally.
pub(crate) const PORT: &str = "BUSLOAD_LIAR_PORT";
pub(crate) const FILE: &str = "BUSLOAD_LIAR_FILE";
pub(crate) const TALLY: &str = "BUSLOAD_LIAR_TALLY";

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).expect("it is set")
}

/// The test that is the server.
pub(crate) const ITSELF: &str = "torture_liars::the_liar_itself";

/// The command that starts it; the audit puts the ledger's name in.
pub(crate) fn command(lie: Lie, port: u16, tally: &Path) -> String {
    command_with(lie, port, tally, "")
}

/// The same with further variables, each with a space behind it.
pub(crate) fn command_with(lie: Lie, port: u16, tally: &Path, variables: &str) -> String {
    let liar = std::env::current_exe().expect("the test knows its own path");
    format!(
        "env {variables}{LIE}={lie:?} {PORT}={port} {FILE}={{database}} {TALLY}={} {} --exact \
         {ITSELF} --nocapture",
        tally.display(),
        liar.display()
    )
}

/// Serves until it is killed; returns at once in a process that is no liar.
pub(crate) fn run() {
    let Ok(lie) = std::env::var(LIE) else { return };
    if front::run() {
        return;
    }
    let lie = Lie::ALL.into_iter().find(|one| format!("{one:?}") == lie);
    let lie = lie.expect("it is one of them");
    let [file, tally] = [FILE, TALLY].map(|name| PathBuf::from(variable(name)));
    if lie == Lie::StartsAtTheSecondTry {
        // A mark that is there at every second start.
        let mark = tally.with_extension("mark");
        if std::fs::remove_file(&mark).is_ok() {
            eprintln!("error: not yet");
            std::process::exit(1);
        }
        std::fs::write(mark, "").expect("it can be written");
    }
    let bank = Arc::new(Mutex::new(Bank::open(lie, &file, &tally)));
    runtime().block_on(async {
        let address = format!("127.0.0.1:{}", variable(PORT));
        let listener = TcpListener::bind(address).await.expect("the port is free");
        if lie == Lie::AnswersEarly {
            tokio::spawn(write_late(Arc::clone(&bank)));
        }
        loop {
            let (stream, _) = listener.accept().await.expect("somebody connects");
            tokio::spawn(serve(stream, Arc::clone(&bank)));
        }
    });
}

async fn write_late(bank: Arc<Mutex<Bank>>) {
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        bank.lock().expect("no panic").write_late();
    }
}

async fn serve(stream: TcpStream, bank: Arc<Mutex<Bank>>) {
    let Ok(mut socket) = accept_async(stream).await else {
        return;
    };
    let lie = bank.lock().expect("no panic").lie;
    let mut transfers = 0;
    let mut dropped = None;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(request) = message else {
            continue;
        };
        let request: Value = serde_json::from_str(&request).expect("the client sends JSON");
        transfers += u64::from(request["name"] == "transfer");
        let (times, mut body) = bank.lock().expect("no panic").answer(&request, transfers);
        body["id"] = request["id"].clone();
        if lie == Lie::ForgetsIds {
            // So that a kill finds what was applied and not answered.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if times == 0 {
            dropped = Some(Moved::of(&request["args"], ["from_id", "to_id", "amount"]));
        }
        for _ in 0..times {
            if socket.send(Message::text(body.to_string())).await.is_err() {
                return;
            }
        }
    }
    if let Some(moved) = dropped {
        // The client waited in vain, and has hung up.
        bank.lock().expect("no panic").admit("given_up", moved);
    }
}
