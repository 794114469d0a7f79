// The node: the protocols and parameters that agents of the original project have.

import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { gossipsub } from '@libp2p/gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { createLibp2p } from 'libp2p'
import { tell } from './events.mjs'

const SECURITY = { noise, tls }
const MAX_MESSAGE_BYTES = 1 << 20

// settings: key (file with an Ed25519 key, PKCS#8 PEM), listen (multiaddress), security (names, in order of
// preference), topic, isDhtServer.
export async function start (settings, say) {
  const node = await createLibp2p({
    privateKey: await readKey(settings.key),
    addresses: { listen: [settings.listen] },
    transports: [tcp()],
    connectionEncrypters: settings.security.map((name) => SECURITY[name]()),
    streamMuxers: [yamux()],
    // Private addresses are what a test network has.
    connectionGater: { denyDialMultiaddr: () => false },
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      ping: ping(),
      dht: kadDHT({
        protocol: '/ipfs/kad/1.0.0',
        clientMode: !settings.isDhtServer,
        peerInfoMapper: passthroughMapper,
        // The first node of a network has nobody to ask, and is asked all the same.
        allowQueryWithZeroPeers: true
      }),
      pubsub: gossipsub(gossip)
    }
  })
  tell(node, say)
  node.services.pubsub.subscribe(settings.topic)
  return Object.assign(node, { topic: settings.topic })
}

async function readKey (file) {
  const { d } = createPrivateKey(readFileSync(file)).export({ format: 'jwk' })
  return generateKeyPairFromSeed('Ed25519', Buffer.from(d, 'base64url'))
}

const gossip = {
  globalSignaturePolicy: 'StrictSign',
  msgIdFn: authorAndSequence,
  fallbackToFloodsub: true,
  floodPublish: false,
  doPX: false,
  emitSelf: false,
  allowPublishToZeroTopicPeers: true,
  maxInboundDataLength: MAX_MESSAGE_BYTES,
  D: 6,
  Dlo: 5,
  Dhi: 12,
  Dscore: 4,
  Dout: 2,
  Dlazy: 6,
  gossipFactor: 0.25
}

// The library would take the public key instead of the peer id. Ids travel, so all must agree on them.
function authorAndSequence (message) {
  const sequence = Buffer.alloc(8)
  sequence.writeBigUInt64BE(message.sequenceNumber)
  return Buffer.concat([message.from.toMultihash().bytes, sequence])
}
