export default defineEventHandler(() => ({ ok: true, result: { status: 'ok' } }));
