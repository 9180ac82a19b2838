// Opens the ledger at the start, not at the first request. Nitro's own stop would cut WebSockets off
// before they are answered, so this one replaces it.
import { defineNitroPlugin } from 'nitropack/runtime';
import { stop } from '../service.mjs';

export default defineNitroPlugin(() => {
  process.env.NITRO_SHUTDOWN_DISABLED = 'true';
  process.on('SIGTERM', () => stop(0));
  process.on('SIGINT', () => stop(0));
});
