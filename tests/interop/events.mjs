// What happens to the node, told as it happens.

export function tell (node, say) {
  say({
    event: 'started',
    id: node.peerId.toString(),
    addresses: node.getMultiaddrs().map(String)
  })
  node.addEventListener('connection:open', ({ detail }) => {
    const { remotePeer, remoteAddr, direction, encryption, multiplexer } = detail
    say({
      event: 'connected',
      peer: remotePeer.toString(),
      address: remoteAddr.toString(),
      direction,
      encryption,
      multiplexer
    })
  })
  node.addEventListener('peer:disconnect', ({ detail }) => {
    say({ event: 'disconnected', peer: detail.toString() })
  })
  node.addEventListener('peer:identify', ({ detail }) => {
    say({
      event: 'identified',
      peer: detail.peerId.toString(),
      agent: detail.agentVersion,
      protocols: detail.protocols
    })
  })
  node.services.pubsub.addEventListener('subscription-change', ({ detail }) => {
    const topics = detail.subscriptions.filter(({ subscribe }) => subscribe).map(({ topic }) => topic)
    say({ event: 'subscribed', peer: detail.peerId.toString(), topics })
  })
  node.services.pubsub.addEventListener('message', ({ detail }) => say(message(detail)))
}

// `json` is what this language makes of the text; absent if it makes nothing of it.
function message ({ from, topic, data, sequenceNumber, signature, key }) {
  const text = new TextDecoder().decode(data)
  let json
  try {
    json = JSON.parse(text)
  } catch {}
  return {
    event: 'message',
    from: from.toString(),
    topic,
    text,
    json,
    sequence: String(sequenceNumber),
    signatureBytes: signature?.length ?? 0
  }
}
