// The JSON form of the protocol in docs/protocol.md: what a request is and how it is answered.
// No I/O, no ledger, no package.

/** The HTTP status of each error text. No text holds a digit. */
export const STATUS = {
  invalid_request: 400,
  invalid_transfer: 400,
  forbidden: 403,
  account_missing: 404,
  unknown_method: 404,
  insufficient_funds: 409,
  balance_overflow: 409,
  too_large: 413,
  verify_failed: 500,
  internal: 500,
  unknown_outcome: 500,
  overloaded: 503,
  shutting_down: 503,
  storage_full: 507,
};

/** The largest request that is read, in bytes: an HTTP body, and a WebSocket message. */
export const BODY_BYTES_MAX = 64 * 1024;
export const MESSAGE_BYTES_MAX = 1024 * 1024;

/** A request that is refused with one of the texts of `STATUS`. */
export class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * `{ id, name, args }`, or `{ id, error }`. The id is null where none can be read.
 *
 * JSON.parse makes doubles of all numbers, so that a peer cannot tell `1.0` from `1`, and refuses
 * integers above 2^53 where the protocol allows 64 bits. Nothing is rounded.
 */
export function readRequest(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return { id: null, error: 'invalid_request' };
  }
  const id = Number.isSafeInteger(message?.id) && message.id >= 0 ? message.id : null;
  if (!isObject(message) || typeof message.name !== 'string') return { id, error: 'invalid_request' };
  const args = message.args ?? {};
  return isObject(args) ? { id, name: message.name, args } : { id, error: 'invalid_request' };
}

/** The answer over WebSocket with its id; without one over HTTP. */
export function answerText(id, error, result) {
  const start = id === undefined ? '{' : `{"id":${id},`;
  if (error) return `${start}"ok":false,"error":"${error}"}`;
  return result === undefined ? `${start}"ok":true}` : `${start}"ok":true,"result":${JSON.stringify(result)}}`;
}

function integer(value) {
  if (!Number.isSafeInteger(value)) throw new Refused('invalid_request');
  return value;
}

function either(args, name, alias) {
  if (args[name] !== undefined && args[alias] !== undefined) throw new Refused('invalid_request');
  return integer(args[name] ?? args[alias]);
}

/** A transfer's arguments. Ids are not remembered here, so a transfer with one is refused. */
export function readTransfer(args) {
  const from = either(args, 'from_id', 'from');
  const to = either(args, 'to_id', 'to');
  // The sign of an integer outlives any rounding.
  const { amount } = args;
  if (!(Number.isInteger(amount) && amount < 1)) integer(amount);
  if (args.transfer_id !== undefined) throw new Refused('invalid_request');
  if (amount < 1 || from === to) throw new Refused('invalid_transfer');
  return { from, to, amount };
}

export const readAccount = (args) => integer(args.id);

const BALANCE_MAX = 2n ** 63n - 1n;

/** `{ accounts, initialBalance }`, the latter a BigInt. */
export function readSeed(args) {
  const accounts = integer(args.accounts);
  const given = args.initialBalance;
  const isBalance = typeof given === 'string' ? /^\d{1,19}$/.test(given) : Number.isSafeInteger(given);
  if (!isBalance || accounts < 2 || accounts > 10_000_000) throw new Refused('invalid_request');
  const initialBalance = BigInt(given);
  if (initialBalance < 0n || initialBalance > BALANCE_MAX) throw new Refused('invalid_request');
  return { accounts, initialBalance };
}
