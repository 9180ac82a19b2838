//! Recording a server: the command, and whether it works here.

use std::path::Path;

use crate::target::ServerSpec;

/// The system calls that matter. Some are traced only to be refused.
const CALLS: &str = "trace=openat,open,creat,pwrite64,pwritev,pwritev2,write,writev,sendto,\
                     sendmsg,sendmmsg,sendfile,splice,read,readv,recvfrom,recvmsg,fsync,fdatasync,\
                     sync,syncfs,fallocate,ftruncate,truncate,unlink,unlinkat,rename,renameat,\
                     renameat2,close,mmap,io_uring_setup";

/// Most bytes of one call's data that are recorded; more is an error when the trace is read.
const STRING_LIMIT: &str = "1048576";

/// The server under `strace`, which writes its trace to `trace`.
///
/// The server should end by itself, as ours does when its standard input ends: a signal for
/// the process that is started reaches `strace` first.
#[must_use]
pub fn traced(server: &ServerSpec, trace: &Path) -> ServerSpec {
    let options = [
        "-f",
        "-yy",
        "-xx",
        "-v",
        "-qq",
        "-s",
        STRING_LIMIT,
        "-e",
        "signal=none",
        "-e",
        CALLS,
        "-o",
    ];
    let mut args: Vec<String> = options.map(str::to_owned).into();
    args.push(trace.to_string_lossy().into_owned());
    args.push("--".to_owned());
    args.push(server.program.to_string_lossy().into_owned());
    args.extend_from_slice(&server.args);
    ServerSpec {
        program: "strace".into(),
        args,
        ..server.clone()
    }
}

/// Whether `strace` is there and may trace.
///
/// # Errors
/// Why not.
pub fn strace_works() -> Result<(), String> {
    let probe = std::process::Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=none", "true"])
        .output();
    match probe {
        Err(error) => Err(format!("strace cannot be started: {error}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = said.lines().next().unwrap_or("it does not say why");
            Err(format!("strace cannot trace: {why}"))
        }
    }
}
