// The handler under server/routes/ serves /rpc; everything is built into .output/.
export default defineNitroConfig({
  compatibilityDate: '2026-11-01',
  srcDir: 'server',
  preset: 'node-server',
  experimental: { websocket: true },
});
