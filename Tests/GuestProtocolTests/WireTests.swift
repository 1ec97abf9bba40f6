// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import GuestProtocol

@Suite struct WireTests {
    private static let frame = (0..<60).map { UInt8($0) }
    static let requests: [WireRequest] = [
        .hello(nonce: 0x1122_3344_5566_7788), .inject(card: 3, frames: []),
        .inject(card: 0, frames: [frame, Array(repeating: 0xff, count: 14)]),
        .burst(card: 1, WireBurst(frame: frame, numberAt: 56, first: 7, count: .max, credits: 512)),
        .grant(card: 255, credits: 1), .collect(card: 2, minimum: 100),
    ]
    static let replies: [WireReply] = [
        .hello(nonce: 1, cards: ["virtio-net", "igb"]), .frames(card: 0, []), .frames(card: 4, [frame, frame]),
        .refused("no"),
    ]

    @Test(arguments: requests) func requestsComeBackAsTheyWere(_ request: WireRequest) throws {
        var decoder = WireDecoder()
        for byte in request.encode().dropLast() {
            decoder.append([byte])
            #expect(try decoder.nextRequest() == nil)
        }
        decoder.append([request.encode().last ?? 0] + request.encode())
        #expect(try decoder.nextRequest() == request)
        #expect(try decoder.nextRequest() == request)
        #expect(try decoder.nextRequest() == nil)
    }

    @Test(arguments: replies) func repliesComeBackAsTheyWere(_ reply: WireReply) throws {
        var decoder = WireDecoder()
        decoder.append(reply.encode())
        #expect(try decoder.nextReply() == reply)
        #expect(try decoder.nextReply() == nil)
    }

    /// A field cut off or a byte too many: refused, whatever the message.
    @Test(arguments: requests) func wrongLengthsAreRefused(_ request: WireRequest) {
        let message = request.encode()
        let payload = message[9...]
        for count in 0..<payload.count {
            #expect(throws: FrameError.self) { try WireRequest(type: message[8], payload: payload.prefix(count)) }
        }
        #expect(throws: FrameError.self) { try WireRequest(type: message[8], payload: payload + [0]) }
    }

    @Test func whatIsNoMessageIsRefused() {
        let header = { (magic: UInt32, length: UInt32, type: UInt8) in
            var writer = ByteWriter()
            writer.append(magic)
            writer.append(length)
            writer.append(type)
            return writer.bytes
        }
        for bytes in [
            header(0x1234_5678, 0, 0), header(WireMessage.magic, .max, 2), header(WireMessage.magic, 0, 7),
            header(WireMessage.magic, UInt32(WireMessage.maximumLength) + 1, 2),
            // A reply is no request.
            WireReply.refused("x").encode(),
        ] {
            var decoder = WireDecoder()
            decoder.append(bytes)
            #expect(throws: FrameError.self) { try decoder.nextRequest() }
        }
    }

    @Test(arguments: [0, 13, WireMessage.maximumFrame + 1]) func noFrameOfThatLength(_ length: Int) {
        let message = WireRequest.inject(card: 0, frames: [[UInt8](repeating: 0, count: length)]).encode()
        #expect(throws: FrameError.self) { try WireRequest(type: message[8], payload: message[9...]) }
    }

    /// Four billion frames in a message of a few bytes: nothing is reserved for them.
    @Test func aCountThatIsALieIsRefused() {
        var writer = ByteWriter()
        writer.append(UInt8(0))
        writer.append(UInt32.max)
        writer.append([UInt8](repeating: 0, count: 32))
        #expect(throws: FrameError.truncated) { try WireRequest(type: 2, payload: writer.bytes[...]) }
    }

    @Test(arguments: [57, 60, 1 << 30]) func aNumberMustLieInTheFrame(_ place: UInt32) {
        let burst = WireBurst(frame: Self.frame, numberAt: place, first: 0, count: 1, credits: 1)
        let message = WireRequest.burst(card: 0, burst).encode()
        #expect(throws: FrameError.self) { try WireRequest(type: message[8], payload: message[9...]) }
    }

    @Test func theAnswerToHelloIsFoundBehindWhatIsLeft() throws {
        let left = Array(WireReply.frames(card: 0, [Self.frame]).encode().dropFirst(20))
        let older = WireReply.hello(nonce: 4, cards: ["igb"]).encode()
        let wanted = WireReply.hello(nonce: 5, cards: ["e1000e"])
        var decoder = WireDecoder()
        for byte in left + older + wanted.encode().prefix(16) {
            decoder.append([byte])
            let isThere = decoder.skip(toHello: 5)
            #expect(!isThere)
        }
        decoder.append(wanted.encode().dropFirst(16))
        let isThere = decoder.skip(toHello: 5)
        #expect(isThere)
        #expect(try decoder.nextReply() == wanted)
    }

    @Test func aHelloIsFoundBehindHalfARequest() throws {
        let half = Array(WireRequest.inject(card: 0, frames: [Self.frame]).encode().prefix(40))
        var decoder = WireDecoder()
        decoder.append(half.dropFirst(3))
        #expect(throws: FrameError.self) { try decoder.nextRequest() }
        decoder.append(WireRequest.hello(nonce: 9).encode())
        let isThere = decoder.skipToHello()
        #expect(isThere)
        #expect(try decoder.nextRequest() == .hello(nonce: 9))
        let isThereAgain = decoder.skipToHello()
        #expect(!isThereAgain)
    }
}
