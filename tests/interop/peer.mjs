// A libp2p peer that shares no code with the agent. It stands in for an agent of the original project.
//
// The only argument is a JSON object (see node.mjs). Commands come as JSON lines on the standard input, see
// commands.mjs; what happens is told as JSON lines on the standard output. The end of the input ends the peer.

// libp2p asks for Node 22 because of this function alone.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((yes, no) => { resolve = yes; reject = no })
  return { promise, resolve, reject }
}

const { createInterface } = await import('node:readline')
const { start } = await import('./node.mjs')
const { obey } = await import('./commands.mjs')

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)

const node = await start(JSON.parse(process.argv[2]), say)
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  if (command.do === 'stop') break
  // Not awaited: a search must not hold up the next command.
  obey(node, command).then(
    (result) => say({ answer: command.id, result: result ?? null }),
    (error) => say({ answer: command.id, error: String(error?.stack ?? error) })
  )
}
await node.stop()
say({ event: 'stopped' })
process.exit(0)
