// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import GuestProtocol
internal import LinuxIO
public import SystemPackage

/// The far ends of the machine's network cards, on the host: frames put on a wire arrive at the card, and what the card
/// transmits is collected (docs/drivers.md). A suite that uses it names its `cards`.
///
/// One process at a time can have it. What an earlier one had asked for is forgotten.
public final class Wire {
    /// The cards that a machine is given for the suites of drivers: the first as one of each kind, the second as where
    /// frames are redirected to.
    public static let everyCard = ["virtio-net", "virtio-net", "e1000e", "igb"]

    /// Kinds of the machine's cards, in the order of their numbers; one that QEMU does not have is left out.
    public let cards: [String]
    private let port: FileHandle
    private var decoder = WireDecoder()
    private var chunk = [UInt8](repeating: 0, count: 256 << 10)

    /// How long the host may take to answer.
    public static let limit = Duration.seconds(30)

    /// Opens the port and begins anew.
    ///
    /// - Throws: ENODEV in a machine without cards, EBUSY while another process has it.
    public init() throws(Errno) {
        guard let path = Self.path() else { throw .operationNotSupportedByDevice }
        port = FileHandle(try Descriptors.open(path, O_RDWR | O_NONBLOCK))
        var random = SystemRandomNumberGenerator()
        let nonce: UInt64 = random.next()
        // The initialiser is not over: what `send` does, without it.
        try Self.write(WireRequest.hello(nonce: nonce).encode(), to: port)
        let deadline = ContinuousClock.now + Self.limit
        var decoder = WireDecoder()
        while !decoder.skip(toHello: nonce) { try Self.read(port, &chunk, &decoder, deadline) }
        while true {
            do {
                if case .hello(nonce, let cards)? = try decoder.nextReply() {
                    self.cards = cards
                    break
                }
            } catch {
                throw .badMessage
            }
            try Self.read(port, &chunk, &decoder, deadline)
        }
        self.decoder = decoder
    }

    private static func path() -> String? {
        // The first number is the virtio device's among all of the machine, the second the port's on it.
        for device in 0...7 {
            for number in 1...5 {
                let port = "vport\(device)p\(number)"
                // One that is not there is not the one.
                let name = (try? readFile("/sys/class/virtio-ports/\(port)/name")) ?? []
                if String(decoding: name, as: UTF8.self).filter({ !$0.isWhitespace }) == PortName.wire {
                    return "/dev/\(port)"
                }
            }
        }
        return nil
    }

    /// Whether the machine has a wire at all.
    public static var isPresent: Bool { path() != nil }

    // MARK: What a case says

    /// Puts frames on a card's wire, in order.
    public func inject(_ frames: [[UInt8]], card: Int) throws(Errno) {
        var part: [[UInt8]] = []
        var size = 0
        for frame in frames {
            if size + frame.count + 4 > 256 << 10 {
                try send(.inject(card: UInt8(card), frames: part))
                part = []
                size = 0
            }
            part.append(frame)
            size += frame.count + 4
        }
        if !part.isEmpty { try send(.inject(card: UInt8(card), frames: part)) }
    }

    /// Puts numbered copies of a frame on a card's wire, as many as there are credits for.
    ///
    /// - Parameter numberAt: where each copy gets its number, 32 bits, little endian.
    public func burst(
        _ frame: [UInt8], numberAt: Int, from first: UInt32 = 0, count: Int, credits: Int, card: Int
    ) throws(Errno) {
        let burst = WireBurst(
            frame: frame, numberAt: UInt32(numberAt), first: first, count: UInt32(count), credits: UInt32(credits))
        try send(.burst(card: UInt8(card), burst))
    }

    /// Lets a burst go on.
    public func grant(_ credits: Int, card: Int) throws(Errno) {
        try send(.grant(card: UInt8(card), credits: UInt32(credits)))
    }

    /// Waits until a card has transmitted as many frames as that, and takes all that have been collected.
    ///
    /// - Throws: ETIMEDOUT when they do not come.
    public func collect(
        _ minimum: Int = 0, card: Int, limit: Duration = Wire.limit
    ) throws(Errno) -> [[UInt8]] {
        try send(.collect(card: UInt8(card), minimum: UInt32(minimum)))
        let deadline = ContinuousClock.now + limit
        while true {
            switch try reply(until: deadline) {
            case .frames(UInt8(card), let frames): return frames
            case .frames, .hello: continue
            case .refused: throw .invalidArgument
            }
        }
    }

    // MARK: The port

    private func reply(until deadline: ContinuousClock.Instant) throws(Errno) -> WireReply {
        while true {
            do {
                if let reply = try decoder.nextReply() { return reply }
            } catch {
                throw .badMessage
            }
            try Self.read(port, &chunk, &decoder, deadline)
        }
    }

    private func send(_ request: WireRequest) throws(Errno) {
        try Self.write(request.encode(), to: port)
    }

    private static func read(
        _ port: FileHandle, _ chunk: inout [UInt8], _ decoder: inout WireDecoder, _ deadline: ContinuousClock.Instant
    ) throws(Errno) {
        try wait(port, .read, deadline)
        do throws(Errno) {
            let count = try port.read(into: &chunk)
            // The host's end is always there: nothing to read is nothing yet.
            decoder.append(chunk[..<count])
        } catch {
            if error != .resourceTemporarilyUnavailable { throw error }
        }
    }

    private static func write(_ bytes: [UInt8], to port: FileHandle) throws(Errno) {
        let deadline = ContinuousClock.now + limit
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { raw in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: raw[done...])
                return unsafe Glibc.write(port.raw, rest.baseAddress, rest.count)
            }
            if count >= 0 {
                done += count
            } else if Errno.last == .resourceTemporarilyUnavailable {
                try wait(port, .write, deadline)
            } else if Errno.last != .interrupted {
                throw Errno.last
            }
        }
    }

    private static func wait(
        _ port: FileHandle, _ interest: Poller.Interest, _ deadline: ContinuousClock.Instant
    ) throws(Errno) {
        var poller = Poller()
        poller.add(port.raw, interest)
        while true {
            let left = deadline - .now
            if left <= .zero { throw .timedOut }
            if try poller.wait(left) { return }
        }
    }
}
