// What the node can be told to do. A command is an object with `do`, an `id` for the answer, and arguments.

import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { decode } from 'multiformats/hashes/digest'

const RAW_CODEC = 0x55
const TIMEOUT_MS = 20_000

export async function obey (node, command) {
  const action = actions[command.do]
  if (action == null) throw new Error(`unknown command ${command.do}`)
  return await action(node, command)
}

const actions = {
  // address: multiaddress with the peer's id at its end.
  async dial (node, { address }) {
    const { remotePeer, encryption } = await node.dial(multiaddr(address), { signal: deadline() })
    return { peer: remotePeer.toString(), encryption }
  },

  async ping (node, { peer }) {
    return { ms: await node.services.ping.ping(peerIdFromString(peer), { signal: deadline() }) }
  },

  // bytes: base64. Answers how many peers the message was given to.
  async publish (node, { bytes }) {
    const { recipients } = await node.services.pubsub.publish(node.topic, Buffer.from(bytes, 'base64'))
    return { recipients: recipients.length }
  },

  // key: multihash, in hexadecimal digits.
  async provide (node, { key }) {
    await node.contentRouting.provide(cid(key), { signal: deadline() })
  },

  async find (node, { key }) {
    const found = []
    for await (const { id, multiaddrs } of node.contentRouting.findProviders(cid(key), { signal: deadline() })) {
      found.push({ peer: id.toString(), addresses: multiaddrs.map(String) })
    }
    return found
  },

  // Peers that are connected, that listen on the topic, and those of the routing table of the DHT.
  async peers (node) {
    const texts = (list) => list.map(String)
    const kad = []
    for (const peer of node.services.dht.routingTable.kb.toIterable()) kad.push(peer.peerId.toString())
    const topic = texts(node.services.pubsub.getSubscribers(node.topic))
    return { connected: texts(node.getPeers()), topic, kad }
  }
}

const deadline = () => AbortSignal.timeout(TIMEOUT_MS)

const cid = (hex) => CID.createV1(RAW_CODEC, decode(Buffer.from(hex, 'hex')))
