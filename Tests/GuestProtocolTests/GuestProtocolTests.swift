// SPDX-License-Identifier: Apache-2.0
import GuestProtocol
import Testing

@Suite struct MessageTests {
    static let hostMessages: [HostMessage] = [
        .putFile(id: 7, path: "/run/bpftest/ä b", mode: 0o755, size: 1 << 40),
        .fileData(id: 7, bytes: [1, 2, 3]), .fileData(id: 7, bytes: []),
        .fileEnd(id: 7, checksum: .max), .kill(id: 3, signal: 9), .powerOff,
        .run(
            Job(
                id: 1, arguments: ["/bin/x", "", "a b"], environment: ["A=1"], workingDirectory: "/tmp", outputLimit: 5)
        ),
        .prepare(Job(id: 2, arguments: ["/bin/x", "prepare"], environment: ["A=1"])), .freeze,
        .resume(.init(session: .max, unixNanoseconds: 1, entropy: Array(0..<32))),
        .run(Job(id: 3, arguments: ["/bin/x"], takesInput: true)),
        .run(Job(id: 4, arguments: ["/bin/x"], marksOutput: true)),
        .input(id: 3, bytes: [0, 255]), .input(id: 3, bytes: []), .inputEnd(id: 3),
    ]
    static let guestMessages: [GuestMessage] = [
        .hello(.init(version: guestProtocolVersion, release: "6.12.1", uptimeNanoseconds: 5, notes: ["a", ""])),
        .fileStored(id: 9), .prepared(id: 4), .frozen, .started(id: 1, pid: 99), .inputTaken(id: 3, count: .max),
        .refused(id: 1, errno: 28, reason: "full"), .log("ü\n"),
        .exited(JobEnd(id: 1, cause: .exited(status: 3), outputBytes: 1, errorBytes: 2, maximumResidentKiB: 3)),
        .exited(JobEnd(id: 1, cause: .signalled(11), outputBytes: 1, errorBytes: 2)),
        .exited(JobEnd(id: 1, cause: .outputLimit, outputBytes: 1, errorBytes: 2)),
    ]

    @Test(arguments: hostMessages) func hostMessagesSurviveTheWire(_ message: HostMessage) throws {
        #expect(try HostMessage(type: message.type, payload: message.payload()) == message)
    }

    @Test(arguments: guestMessages) func guestMessagesSurviveTheWire(_ message: GuestMessage) throws {
        #expect(try GuestMessage(type: message.type, payload: message.payload()) == message)
    }

    /// Cut anywhere, a message is refused and never misread, but for file data, which has no end of its own.
    @Test(arguments: guestMessages) func truncatedMessagesAreRefused(_ message: GuestMessage) {
        let payload = message.payload()
        for length in payload.indices {
            #expect(throws: FrameError.self) { try GuestMessage(type: message.type, payload: payload[..<length]) }
        }
    }

    @Test(arguments: guestMessages) func trailingBytesAreRefused(_ message: GuestMessage) {
        #expect(throws: FrameError.trailingBytes(message.type, 1)) {
            try GuestMessage(type: message.type, payload: message.payload() + [0])
        }
    }

    /// Session 0 is that of a booted guest, and entropy is what a restored one must not go without.
    @Test func aResumptionIsWholeOrRefused() {
        for resumption in [
            HostMessage.Resumption(session: 0, unixNanoseconds: 1, entropy: Array(0..<32)),
            HostMessage.Resumption(session: 1, unixNanoseconds: 1, entropy: Array(0..<31)),
            HostMessage.Resumption(session: 1, unixNanoseconds: 1, entropy: Array(0..<33)),
        ] {
            #expect(throws: FrameError.self) {
                try HostMessage(type: .resume, payload: HostMessage.resume(resumption).payload())
            }
        }
    }

    @Test func theOtherSidesMessagesAreRefused() {
        #expect(throws: FrameError.wrongDirection(.powerOff)) { try GuestMessage(type: .powerOff, payload: []) }
        #expect(throws: FrameError.wrongDirection(.log)) { try HostMessage(type: .log, payload: []) }
    }

    @Test func aListThatClaimsTooMuchReservesNothing() {
        var writer = ByteWriter()
        writer.append(UInt32(guestProtocolVersion))
        writer.append(UInt64(0))
        writer.append("6.12")
        writer.append(UInt32.max)
        #expect(throws: FrameError.truncated) { try GuestMessage(type: .hello, payload: writer.bytes) }
    }

    @Test func textThatIsNoUTF8IsRefused() {
        #expect(throws: FrameError.badText) { try GuestMessage(type: .log, payload: [1, 0, 0, 0, 0xff]) }
    }

    @Test func anotherVersionsHelloIsRecognised() throws {
        #expect(
            try GuestMessage(type: .hello, payload: [99, 0, 0, 0, 1, 2, 3])
                == .hello(.init(version: 99, release: "", uptimeNanoseconds: 0, notes: [])))
    }
}

@Suite struct FrameDecoderTests {
    /// What a guest says in an earlier life must not pass for its answer in this one.
    @Test func aFrameOfAnOldSessionIsRefused() throws {
        var guest = FrameEncoder()
        let old = guest.frame(.log, payload: [])
        guest.begin(session: 7)
        let new = guest.frame(.log, payload: [])
        var host = FrameDecoder()
        host.begin(session: 7)
        host.append(new)
        #expect(try host.next() != nil, "numbered from 0 again")
        host = FrameDecoder(session: 7)
        host.append(old)
        #expect(throws: FrameError.foreignSession(expected: 7, found: 0)) { try host.next() }
        host = FrameDecoder(session: 8)
        host.append(new)
        #expect(throws: FrameError.foreignSession(expected: 8, found: 7)) { try host.next() }
    }

    private func stream() -> (bytes: [UInt8], payloads: [[UInt8]]) {
        var encoder = FrameEncoder()
        let payloads: [[UInt8]] = [[], [1], Array(repeating: 7, count: 5000)]
        return (payloads.flatMap { encoder.frame(.log, payload: $0) }, payloads)
    }

    @Test(arguments: [1, 2, 23, 24, 25, 1000, 100_000]) func framesComeOutOfAnyPieces(_ size: Int) throws {
        let (bytes, payloads) = stream()
        var decoder = FrameDecoder()
        var found: [[UInt8]] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            decoder.append(bytes[start..<min(bytes.count, start + size)])
            while let frame = try decoder.next() { found.append(Array(frame.payload)) }
        }
        #expect(found == payloads)
    }

    @Test func aRepeatedFrameIsNoticed() throws {
        var encoder = FrameEncoder()
        let frame = encoder.frame(.log, payload: [1])
        var decoder = FrameDecoder()
        decoder.append(frame + frame)
        _ = try decoder.next()
        #expect(throws: FrameError.outOfSequence(expected: 1, found: 0)) { try decoder.next() }
    }

    @Test func aFrameOfAnotherSessionIsRefused() throws {
        var encoder = FrameEncoder(session: 5)
        var decoder = FrameDecoder(session: 6)
        decoder.append(encoder.frame(.log, payload: []))
        #expect(throws: FrameError.foreignSession(expected: 6, found: 5)) { try decoder.next() }
    }

    /// Every single damaged byte of a header is noticed, or only changes the length: then no wrong frame comes out.
    @Test(arguments: 0..<FrameHeader.size) func aDamagedHeaderIsNoticed(_ index: Int) {
        var encoder = FrameEncoder()
        var bytes = encoder.frame(.log, payload: [1, 0, 0, 0, 65])
        bytes[index] ^= 0x80
        var decoder = FrameDecoder()
        decoder.append(bytes)
        let frame = Result { try decoder.next() }
        if case .success(let frame?) = frame { Issue.record("a frame of type \(frame.type) came out") }
    }

    @Test func aLongFrameIsRefusedBeforeItComes() throws {
        var writer = ByteWriter()
        writer.append(FrameHeader.magic)
        writer.append(FrameType.log.rawValue)
        writer.append(UInt16(0))
        writer.append(UInt32.max)
        writer.append(UInt32(0))
        writer.append(UInt64(0))
        var decoder = FrameDecoder()
        decoder.append(writer.bytes)
        #expect(throws: FrameError.tooLong(.log, Int(UInt32.max))) { try decoder.next() }
    }
}

@Suite struct XXH64Tests {
    /// Values of the reference implementation (xxhash 3.x of PyPI): `xxhash.xxh64(DATA, SEED).intdigest()`.
    @Test(
        arguments: [
            ("", 0, 0xef46_db37_51d8_e999), ("", 1, 0xd5af_ba13_36a3_be4b), ("a", 0, 0xd24e_c4f1_a98c_6e5b),
            ("abc", 0, 0x44bc_2cf5_ad77_0999),
            ("Nobody inspects the spammish repetition", 0, 0xfbce_a83c_8a37_8bf1),
            (String(repeating: "x", count: 31), 0, 0x60dd_0d01_083b_99f0),
            (String(repeating: "y", count: 100), 3, 0x104b_d0a5_44ae_8ac8),
        ] as [(String, UInt64, UInt64)])
    func knownValues(_ text: String, _ seed: UInt64, _ expected: UInt64) {
        #expect(XXH64.hash(Array(text.utf8), seed: seed) == expected)
    }

    @Test(arguments: [1, 3, 31, 32, 33, 100]) func piecesMakeTheSame(_ size: Int) {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        var state = XXH64()
        for start in stride(from: 0, to: bytes.count, by: size) {
            let piece = Array(bytes[start..<min(bytes.count, start + size)])
            unsafe piece.withUnsafeBytes { unsafe state.update($0) }
        }
        #expect(state.digest == XXH64.hash(bytes))
    }
}
