//! A transfer server over WebSocket and rusqlite, with a thread for each connection: one COMMIT,
//! and with it one sync, for each transfer. `docs/own-server.md` is about it.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, accept};

fn seed(ledger: &Transaction<'_>, args: &Value) -> anyhow::Result<Value> {
    ledger.execute_batch(
        "DROP TABLE IF EXISTS accounts;
         CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);",
    )?;
    // It comes as a number or as text.
    let balance: i64 = args["initialBalance"]
        .to_string()
        .trim_matches('"')
        .parse()?;
    for id in 0..args["accounts"].as_i64().unwrap_or(0) {
        ledger
            .prepare_cached("INSERT INTO accounts VALUES (?, ?)")?
            .execute(params![id, balance])?;
    }
    Ok(Value::Null)
}

fn balance(ledger: &Transaction<'_>, id: &Value) -> anyhow::Result<Option<i64>> {
    let mut select = ledger.prepare_cached("SELECT balance FROM accounts WHERE id = ?")?;
    Ok(select
        .query_row([id.as_i64()], |row| row.get(0))
        .optional()?)
}

fn transfer(ledger: &Transaction<'_>, args: &Value) -> anyhow::Result<Value> {
    let (from, to, amount) = (&args["from_id"], &args["to_id"], args["amount"].as_i64());
    let amount = amount.filter(|amount| *amount > 0 && from != to);
    let amount = amount.ok_or_else(|| anyhow::anyhow!("invalid_transfer"))?;
    match (balance(ledger, from)?, balance(ledger, to)?) {
        (Some(has), Some(_)) => anyhow::ensure!(has >= amount, "insufficient_funds"),
        _ => anyhow::bail!("account_missing"),
    }
    let mut add =
        ledger.prepare_cached("UPDATE accounts SET balance = balance + ? WHERE id = ?")?;
    add.execute(params![-amount, from.as_i64()])?;
    add.execute(params![amount, to.as_i64()])?;
    Ok(Value::Null)
}

fn answer(ledger: &mut Connection, request: &Value) -> anyhow::Result<Value> {
    let (ledger, args) = (ledger.transaction()?, &request["args"]);
    let result = match request["name"].as_str().unwrap_or_default() {
        "health" => json!({"status": "ok"}),
        "seed" => seed(&ledger, args)?,
        "transfer" => transfer(&ledger, args)?,
        "getAccount" => balance(&ledger, &args["id"])?.map_or(
            Value::Null,
            |balance| json!({"id": args["id"], "balance": balance.to_string()}),
        ),
        _ => anyhow::bail!("unknown_method"),
    };
    ledger.commit()?; // No answer leaves before this returns. An error rolls back.
    Ok(json!({"id": request["id"], "ok": true, "result": result}))
}

fn serve(stream: TcpStream, ledger: &Mutex<Connection>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = accept(stream)?;
    loop {
        let Message::Text(text) = socket.read()? else {
            continue;
        };
        let request: Value = serde_json::from_str(&text)?;
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answer(&mut ledger, &request).unwrap_or_else(
            |error| json!({"id": request["id"], "ok": false, "error": error.to_string()}),
        );
        drop(ledger);
        socket.send(Message::text(answer.to_string()))?;
    }
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let [_, port, database] = words.as_slice() else {
        anyhow::bail!("usage: own_server PORT DATABASE");
    };
    let ledger = Connection::open(database)?;
    ledger.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")?;
    let ledger = Arc::new(Mutex::new(ledger));
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?))?;
    for stream in listener.incoming() {
        let (stream, ledger) = (stream?, Arc::clone(&ledger));
        // A connection that breaks ends its thread.
        std::thread::spawn(move || serve(stream, &ledger));
    }
    Ok(())
}
