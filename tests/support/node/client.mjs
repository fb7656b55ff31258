// The npm Socket.IO client, driven by the tests: commands come in and what happens goes out, a JSON object a line.
import { createInterface } from 'node:readline'
import { io } from 'socket.io-client'

let socket

const say = (what, rest = {}) => process.stdout.write(JSON.stringify({ what, ...rest }) + '\n')

const commands = {
  connect({ url, auth, options }) {
    socket?.disconnect()
    socket = io(url, { transports: ['websocket'], reconnection: false, forceNew: true, auth, ...options })
    socket.on('connect', () => say('connected', { sid: socket.id }))
    socket.on('connect_error', (error) => say('refused', { message: error.message, data: error.data ?? null }))
    socket.on('disconnect', (reason) => say('disconnected', { reason }))
    socket.onAny((name, payload) => say('event', { name, payload }))
  },
  emit({ number, name, args }) {
    socket.emit(name, ...args, (answer) => say('answer', { number, answer }))
  },
  disconnect() {
    socket.disconnect()
  },
}

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const { command, ...rest } = JSON.parse(line)
  commands[command](rest)
})
lines.on('close', () => process.exit())
