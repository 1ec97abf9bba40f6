// SPDX-License-Identifier: Apache-2.0
import GuestProtocol
import LinuxIO
import SystemPackage
import Testing

@testable import VMRunner

/// The wire between a guest and the sockets of its cards, both played by the test.
@Suite struct WireServiceTests {
    /// QEMU's ends, and the guest's view of its port.
    private final class Guest {
        let port: OwnedFD
        let cards: [Wire.Cable]
        private let wire: Wire
        private var decoder = WireDecoder()
        private var streams: [FrameStream]
        private var frames: [[[UInt8]]]

        init(_ kinds: [NetworkCard]) throws {
            let pair = try Descriptors.socketPair()
            try pair.first.setNonBlocking()
            let ours = Wire.Cable(pair.first)
            port = pair.second
            var near: [Wire.Cable] = []
            var far: [Wire.Cable] = []
            for _ in kinds {
                let pair = try Descriptors.socketPair()
                try pair.first.setNonBlocking()
                near.append(Wire.Cable(pair.first))
                far.append(Wire.Cable(pair.second))
            }
            cards = far
            streams = far.map { _ in FrameStream() }
            frames = far.map { _ in [] }
            wire = try Wire(port: ours, cables: near, cards: kinds)
        }

        func say(_ request: WireRequest) throws { try port.writeAll(request.encode()) }

        func answer() throws -> WireReply {
            var buffer = [UInt8](repeating: 0, count: 65536)
            while true {
                if let reply = try decoder.nextReply() { return reply }
                try Self.wait(port.raw)
                let count = try port.read(into: &buffer)
                try #require(count > 0, "the wire is gone")
                decoder.append(buffer[..<count])
            }
        }

        /// The next frame that arrives at a card.
        func frame(_ card: Int) throws -> [UInt8] {
            var buffer = [UInt8](repeating: 0, count: 65536)
            while frames[card].isEmpty {
                try Self.wait(cards[card].socket.raw)
                let count = try cards[card].socket.read(into: &buffer)
                try #require(count > 0, "the wire is gone")
                let whole = streams[card].append(buffer[..<count])
                frames[card] += try #require(whole)
            }
            return frames[card].removeFirst()
        }

        func transmit(_ frame: [UInt8], _ card: Int) throws {
            var bytes: [UInt8] = []
            FrameStream.encode(frame, into: &bytes)
            try cards[card].socket.writeAll(bytes)
        }

        func isSilent(_ card: Int) throws -> Bool {
            var poller = Poller()
            poller.add(cards[card].socket.raw, .read)
            return try !poller.wait(.zero)
        }

        private static func wait(_ descriptor: CInt) throws {
            var poller = Poller()
            poller.add(descriptor, .read)
            let deadline = ContinuousClock.now + .seconds(20)
            while try !poller.wait(deadline - .now) { try #require(.now < deadline, "nothing comes") }
        }
    }

    private func frame(_ byte: UInt8, _ size: Int = 60) -> [UInt8] { [UInt8](repeating: byte, count: size) }

    @Test func framesGoToTheCardTheyAreMeantFor() throws {
        let guest = try Guest([.virtioNet, .igb])
        try guest.say(.hello(nonce: 7))
        #expect(try guest.answer() == .hello(nonce: 7, cards: ["virtio-net", "igb"]))
        try guest.say(.inject(card: 1, frames: [frame(1), frame(2, 9014)]))
        #expect(try guest.frame(1) == frame(1))
        #expect(try guest.frame(1) == frame(2, 9014))
        #expect(try guest.isSilent(0))
    }

    @Test func whatACardTransmitsIsCollectedWhenThereIsEnough() throws {
        let guest = try Guest([.e1000e, .virtioNet])
        try guest.say(.collect(card: 1, minimum: 2))
        try guest.transmit(frame(1), 0)
        try guest.transmit(frame(2), 1)
        try guest.transmit(frame(3), 1)
        #expect(try guest.answer() == .frames(card: 1, [frame(2), frame(3)]))
        try guest.say(.collect(card: 0, minimum: 1))
        #expect(try guest.answer() == .frames(card: 0, [frame(1)]))
        try guest.say(.collect(card: 0, minimum: 0))
        #expect(try guest.answer() == .frames(card: 0, []))
    }

    @Test func aBurstGoesAsFarAsItsCredits() throws {
        let guest = try Guest([.virtioNet])
        let burst = WireBurst(frame: frame(0xee), numberAt: 20, first: 0xfe, count: 5, credits: 2)
        try guest.say(.burst(card: 0, burst))
        func number() throws -> [UInt8] { Array(try guest.frame(0)[20..<24]) }
        #expect(try number() == [0xfe, 0, 0, 0])
        #expect(try number() == [0xff, 0, 0, 0])
        // An answer to something else: by then more would have come.
        try guest.say(.hello(nonce: 1))
        _ = try guest.answer()
        #expect(try guest.isSilent(0))
        try guest.say(.burst(card: 0, WireBurst(frame: frame(0xee), numberAt: 20, first: 0, count: 3, credits: 1)))
        #expect(try number() == [0, 0, 0, 0])
        try guest.say(.grant(card: 0, credits: .max))
        try guest.say(.grant(card: 0, credits: .max))
        #expect(try number() == [1, 0, 0, 0])
        #expect(try number() == [2, 0, 0, 0])
        try guest.say(.grant(card: 0, credits: 5))
        try guest.say(.collect(card: 0, minimum: 0))
        #expect(try guest.answer() == .frames(card: 0, []))
        #expect(try guest.isSilent(0))
    }

    /// 100,000 frames are far more than the sockets hold: they wait, and all of them come.
    @Test func aBurstWaitsForTheCard() throws {
        let guest = try Guest([.virtioNet])
        let burst = WireBurst(frame: frame(0, 128), numberAt: 4, first: 0, count: 100_000, credits: .max)
        try guest.say(.burst(card: 0, burst))
        for number in 0..<100_000 {
            let frame = try guest.frame(0)
            let found = frame[4..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
            try #require(found == number)
        }
    }

    /// Bytes that are collected and not asked for are bounded: the card waits.
    @Test func aFloodOfFramesWaitsInTheCard() throws {
        let guest = try Guest([.virtioNet])
        try guest.say(.hello(nonce: 1))
        _ = try guest.answer()
        let cable = guest.cards[0]
        try cable.socket.setNonBlocking()
        var bytes: [UInt8] = []
        for number in 0..<256 { FrameStream.encode(frame(UInt8(number), 4000), into: &bytes) }
        var sent = 0
        var poller = Poller()
        poller.add(cable.socket.raw, .write)
        // Until nothing has gone on for a moment: what the wire has not taken by then it does not take.
        while sent < Exchange.room * 4, try poller.wait(.milliseconds(500)) {
            do throws(Errno) {
                sent += try cable.socket.write(bytes, from: sent % bytes.count)
            } catch {
                #expect(error == .resourceTemporarilyUnavailable)
            }
        }
        #expect(sent > Exchange.room && sent < Exchange.room * 2)
        try guest.say(.collect(card: 0, minimum: 1))
        guard case .frames(0, let frames) = try guest.answer() else {
            Issue.record("no frames")
            return
        }
        #expect(frames.first == frame(0, 4000) && frames.count > 100)
    }

    @Test func whatMakesNoSenseIsRefusedUntilHello() throws {
        let guest = try Guest([.virtioNet])
        try guest.say(.inject(card: 3, frames: []))
        #expect(try guest.answer() == .refused("there is no card 3, there are 1"))
        try guest.say(.collect(card: 0, minimum: 0))
        try guest.say(.hello(nonce: 2))
        #expect(try guest.answer() == .hello(nonce: 2, cards: ["virtio-net"]))
        try guest.port.writeAll([1, 2, 3, 4, 5, 6, 7, 8, 9])
        guard case .refused = try guest.answer() else {
            Issue.record("nonsense is taken for a request")
            return
        }
        try guest.say(.hello(nonce: 3))
        #expect(try guest.answer() == .hello(nonce: 3, cards: ["virtio-net"]))
    }

    @Test func helloForgetsWhatWasCollected() throws {
        let guest = try Guest([.virtioNet])
        try guest.say(.collect(card: 0, minimum: 2))
        try guest.transmit(frame(1), 0)
        try guest.transmit(frame(2), 0)
        _ = try guest.answer()
        try guest.transmit(frame(3), 0)
        try guest.say(.collect(card: 0, minimum: 1))
        _ = try guest.answer()
        try guest.say(.collect(card: 0, minimum: 5))
        try guest.say(.hello(nonce: 2))
        #expect(try guest.answer() == .hello(nonce: 2, cards: ["virtio-net"]))
        try guest.transmit(frame(4), 0)
        try guest.say(.collect(card: 0, minimum: 1))
        #expect(try guest.answer() == .frames(card: 0, [frame(4)]))
    }

    @Test func theWireEndsWithTheMachine() throws {
        let pair = try Descriptors.socketPair()
        try pair.first.setNonBlocking()
        var wire: Wire? = try Wire(port: Wire.Cable(pair.first), cables: [], cards: [])
        #expect(wire != nil)
        wire = nil
        var byte: [UInt8] = [0]
        // Blocks until the other end is closed.
        #expect(try pair.second.read(into: &byte) == 0)
    }

    @Test func aLengthThatNoCardTransmitsEndsTheStream() {
        var stream = FrameStream()
        let pieces: [ArraySlice<UInt8>] = [[0, 0, 0], [2, 7], [8, 0, 0, 0, 1, 9], [0xff, 0, 0, 0]]
        let frames = pieces.map { stream.append($0) }
        #expect(frames == [[], [], [[7, 8], [9]], nil])
    }
}
