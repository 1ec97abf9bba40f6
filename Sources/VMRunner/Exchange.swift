// SPDX-License-Identifier: Apache-2.0
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

/// What the wire's thread does: one `poll` loop over the port and the cards' sockets.
final class Exchange {
    private let port: Wire.Cable
    private let stop: OwnedFD
    private let cards: [String]
    private var lines: [Line]
    private var decoder = WireDecoder()
    /// After a request that makes no sense nothing but `hello` is understood.
    private var isLost = false
    private var answers = Outgoing()
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)

    /// Bytes collected from a card, or waiting to be put on its wire, after which nothing more is taken in.
    static let room = 8 << 20

    init(port: Wire.Cable, cables: [Wire.Cable], cards: [String], stop: consuming OwnedFD) {
        self.port = port
        self.stop = stop
        self.cards = cards
        lines = cables.map { Line($0) }
    }

    /// Bytes on their way to a socket that takes them when it likes.
    private struct Outgoing {
        private var bytes: [UInt8] = []
        private var start = 0

        var count: Int { bytes.count - start }

        mutating func append(_ more: [UInt8]) { bytes += more }

        mutating func add(frame: [UInt8]) { FrameStream.encode(frame, into: &bytes) }

        /// - Returns: false when the other side is gone.
        mutating func flush(_ socket: borrowing OwnedFD) -> Bool {
            do {
                start += try socket.write(bytes, from: start)
            } catch {
                // EPIPE and ECONNRESET: QEMU is gone.
                if error != .resourceTemporarilyUnavailable { return false }
            }
            if start == bytes.count {
                bytes.removeAll(keepingCapacity: true)
                start = 0
            } else if start > Exchange.room {
                bytes.removeFirst(start)
                start = 0
            }
            return true
        }
    }

    /// One card's far end.
    private struct Line {
        let cable: Wire.Cable
        var isOpen = true
        var outgoing = Outgoing()
        var incoming = FrameStream()
        var collected: [[UInt8]] = []
        var collectedBytes = 0
        var wanted: UInt32?
        var burst: WireBurst?

        init(_ cable: Wire.Cable) {
            self.cable = cable
        }

        /// Puts what the credits allow on the wire, a little at a time.
        mutating func goOn() {
            guard var current = burst else { return }
            while current.count > 0, current.credits > 0, outgoing.count < 256 << 10 {
                var number = ByteWriter()
                number.append(current.first)
                let place = Int(current.numberAt)
                current.frame.replaceSubrange(place..<(place + 4), with: number.bytes)
                outgoing.add(frame: current.frame)
                current.first &+= 1
                current.count -= 1
                current.credits -= 1
            }
            burst = current.count > 0 ? current : nil
        }

        /// What answers `collect`, once there is enough: whole frames, as many as fit into a message.
        mutating func answer(card: Int) -> [UInt8]? {
            guard let wanted, collected.count >= Int(wanted) else { return nil }
            self.wanted = nil
            var count = 0
            var size = 0
            while count < collected.count, size + collected[count].count + 4 <= 512 << 10 {
                size += collected[count].count + 4
                count += 1
            }
            defer {
                collectedBytes -= collected.prefix(count).reduce(0) { $0 + $1.count }
                collected.removeFirst(count)
            }
            return WireReply.frames(card: UInt8(card), Array(collected.prefix(count))).encode()
        }
    }

    /// Returns when told to stop, or when QEMU is gone.
    func run() {
        var poller = Poller()
        while true {
            poller.removeAll()
            poller.add(stop.raw, .read)
            // Requests wait while answers, or what they asked for, are in the way.
            let isBusy = answers.count > Self.room || lines.contains { $0.outgoing.count > Self.room }
            var port: Poller.Interest = isBusy ? [] : .read
            if answers.count > 0 { port.insert(.write) }
            poller.add(self.port.socket.raw, port)
            for line in lines {
                var interest: Poller.Interest = line.collectedBytes > Self.room ? [] : .read
                if line.outgoing.count > 0 { interest.insert(.write) }
                poller.add(line.isOpen ? line.cable.socket.raw : -1, interest)
            }
            do {
                guard try poller.wait(nil) else { continue }
            } catch {
                // No memory for a poll: the case waits in vain, and its time limit says so.
                return
            }
            if poller[0] != [] { return }
            if poller[1].contains(.write), !answers.flush(self.port.socket) { return }
            if !poller[1].isDisjoint(with: [.read, .hangUp]), !readPort() { return }
            for index in lines.indices {
                let state = poller[2 + index]
                if state.contains(.write), !lines[index].outgoing.flush(lines[index].cable.socket) {
                    lines[index].isOpen = false
                }
                if !state.isDisjoint(with: [.read, .hangUp]) { readCard(index) }
                lines[index].goOn()
                if let answer = lines[index].answer(card: index) { answers.append(answer) }
            }
        }
    }

    /// - Returns: false when QEMU is gone.
    private func readPort() -> Bool {
        do {
            let count = try port.socket.read(into: &buffer)
            if count == 0 { return false }
            decoder.append(buffer[..<count])
        } catch {
            return error == .resourceTemporarilyUnavailable
        }
        handleRequests()
        return true
    }

    private func handleRequests() {
        while true {
            if isLost {
                guard decoder.skipToHello() else { return }
                isLost = false
            }
            do {
                guard let request = try decoder.nextRequest() else { return }
                if let problem = handle(request) { refuse(problem) }
            } catch {
                refuse("\(error)")
            }
        }
    }

    private func refuse(_ why: String) {
        isLost = true
        answers.append(WireReply.refused(why).encode())
    }

    /// - Returns: why it cannot be done.
    private func handle(_ request: WireRequest) -> String? {
        switch request {
        case .hello(let nonce):
            for index in lines.indices {
                lines[index].collected = []
                lines[index].collectedBytes = 0
                lines[index].wanted = nil
                lines[index].burst = nil
            }
            answers.append(WireReply.hello(nonce: nonce, cards: cards).encode())
            return nil
        case .inject(let card, let frames):
            return with(card) { line in
                for frame in frames { line.outgoing.add(frame: frame) }
                return nil
            }
        case .burst(let card, let burst):
            return with(card) { line in
                if line.burst != nil { return "card \(card) has a burst under way" }
                line.burst = burst
                line.goOn()
                return nil
            }
        case .grant(let card, let credits):
            return with(card) { line in
                // A burst that is over needs none.
                guard let now = line.burst?.credits else { return nil }
                let (sum, isTooMuch) = now.addingReportingOverflow(credits)
                line.burst?.credits = isTooMuch ? .max : sum
                line.goOn()
                return nil
            }
        case .collect(let card, let minimum):
            return with(card) { line in
                line.wanted = minimum
                if let answer = line.answer(card: Int(card)) { answers.append(answer) }
                return nil
            }
        }
    }

    private func with(_ card: UInt8, _ body: (inout Line) -> String?) -> String? {
        guard lines.indices.contains(Int(card)) else { return "there is no card \(card), there are \(lines.count)" }
        return body(&lines[Int(card)])
    }

    private func readCard(_ index: Int) {
        do {
            let count = try lines[index].cable.socket.read(into: &buffer)
            guard count > 0, let frames = lines[index].incoming.append(buffer[..<count]) else {
                lines[index].isOpen = false
                return
            }
            lines[index].collected += frames
            lines[index].collectedBytes += frames.reduce(0) { $0 + $1.count }
        } catch {
            if error != .resourceTemporarilyUnavailable { lines[index].isOpen = false }
        }
    }
}
