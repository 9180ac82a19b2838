// A transfer server over HTTP and a log of its own: group commit, one sync for all that wait.
import { createServer } from "node:http";
import { closeSync, existsSync, fdatasyncSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";

const [port, file] = process.argv.slice(2);
const balances = new Map();
const apply = ([from, to, amount]) => { // a transfer, or a seeding: [accounts, balance]
  if (amount !== undefined) return balances.set(from, balances.get(from) - amount).set(to, balances.get(to) + amount);
  balances.clear();
  for (let id = 0; id < from; id++) balances.set(id, to);
};
if (existsSync(file)) // a line without its end was never answered
  for (const line of readFileSync(file, "utf8").split("\n").slice(0, -1)) apply(JSON.parse(line));
const log = openSync(file, "a"), folder = openSync(dirname(file), "r");
fsyncSync(folder); closeSync(folder); // so that the file's name is durable, too

const refused = ({ from_id, to_id, amount }) =>
  amount < 1 || from_id === to_id ? "invalid_transfer"
  : !balances.has(from_id) || !balances.has(to_id) ? "account_missing"
  : balances.get(from_id) < amount ? "insufficient_funds" : undefined;

let waiting = []; // [line of the log, how to answer]
const commit = () => {
  const batch = waiting;
  waiting = [];
  writeSync(log, batch.map(([line]) => JSON.stringify(line) + "\n").join(""));
  fdatasyncSync(log); // no answer leaves before this returns; if it fails, the process ends
  for (const [, answer] of batch) answer({ ok: true });
};
const write = (line, answer) => {
  apply(line);
  if (waiting.push([line, answer]) === 1) setImmediate(commit);
};
const methods = {
  health: (_, answer) => answer({ ok: true, result: { status: "ok" } }),
  seed: ({ accounts, initialBalance }, answer) => write([accounts, Number(initialBalance)], answer),
  getAccount: ({ id }, answer) =>
    answer({ ok: true, result: balances.has(id) ? { id, balance: String(balances.get(id)) } : null }),
  transfer: (args, answer) => {
    const error = refused(args);
    if (error) return answer({ ok: false, error });
    write([args.from_id, args.to_id, args.amount], answer);
  },
};
createServer(async (request, response) => {
  let text = "";
  for await (const part of request) text += part;
  const answer = (body) => response.setHeader("content-type", "application/json").end(JSON.stringify(body));
  const { name, args } = JSON.parse(text);
  (methods[name] ?? ((_, answer) => answer({ ok: false, error: "unknown_method" })))(args, answer);
}).listen(Number(port), "127.0.0.1");
