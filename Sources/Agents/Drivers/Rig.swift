// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// Which of a device's chains.
enum Direction: String, CaseIterable {
    case ingress, egress

    var attachType: AttachType { self == .ingress ? .tcxIngress : .tcxEgress }
}

/// A device with both ends of its cable, and everything that a case needs to send frames through its chains.
final class Rig {
    let test: Test
    let kind: DeviceKind
    let direction: Direction
    let chain: Chain
    let device: NetworkDevice
    let far: any FarEnd
    let target: MprogTarget
    /// Of this case's frames.
    let run: UInt32
    let wire: Wire
    /// This end: sends what the egress chain gets, receives what the ingress chain lets pass.
    let socket: PacketSocket
    /// XDP in front of the ingress chain, where a case has put some.
    var path: ExpressPath?
    private var sentinels: UInt32 = 0

    init(_ test: Test, _ kind: DeviceKind, _ direction: Direction) throws {
        self.test = test
        self.kind = kind
        self.direction = direction
        chain = try Chain.loaded
        wire = try Wire()
        if let card = kind.card {
            guard card < wire.cards.count else {
                throw test.skip("QEMU has no \(kind.rawValue): 8.0 and later have it")
            }
            guard let found = NetworkDevice(card: card) else { throw Errno.operationNotSupportedByDevice }
            device = found
            far = CardEnd(wire, card: card)
        } else {
            try Links.make(kind, "near0", "far0")
            test.atEnd { Links.remove("near0") }
            device = try NetworkDevice("near0")
            far = try PeerEnd(try NetworkDevice("far0"))
        }
        target = MprogTarget(ifindex: device.index, type: direction.attachType)
        run = UInt32.random(in: 1..<0x8000_0000)
        chain.reset(run: run)
        socket = try PacketSocket(device.index, type: TestFrame.etherType, .incoming)
        let (device, target) = (device, target)
        try Links.clean(device)
        test.atEnd { [test] in
            do {
                try Links.clean(device)
            } catch {
                test.fail("\(device.name) cannot be cleaned: \(error)")
            }
            _ = target
        }
    }

    // MARK: Programs

    /// Appends programs to the chain, in order.
    func attach(_ numbers: [Int], file: String = #fileID, line: Int = #line) throws {
        for number in numbers {
            try test.require(success: target.attach(chain.fd(number)), "attach P\(number)", file: file, line: line)
        }
    }

    func set(_ verdicts: [Int: Int32]) {
        for (number, verdict) in verdicts { chain.set(verdict: verdict, of: number) }
    }

    // MARK: Frames

    func frame(_ number: UInt32, size: Int = 128) -> [UInt8] {
        TestFrame.bytes(to: destination, run: run, number: number, size: size)
    }

    /// The device itself on the way in; anybody on the way out.
    var destination: [UInt8] { direction == .ingress ? device.address : [0x0a, 0x62, 0x70, 0x66, 0x74, 0x02] }

    /// Sends frames in the direction of the case.
    ///
    /// - Returns: those of them that the kernel says have been dropped on the way out.
    @discardableResult
    func send(_ frames: [[UInt8]]) throws -> Int {
        if direction == .ingress {
            try far.inject(frames)
            return 0
        }
        var dropped = 0
        for frame in frames {
            do throws(Errno) {
                try socket.send(frame)
            } catch {
                if error != .noBufferSpace { throw error }
                dropped += 1
            }
        }
        return dropped
    }

    /// Sends frames, and one behind them that no program touches.
    ///
    /// - Returns: those that have arrived, in order, when the last one has; the others never will.
    func exchange(_ frames: [[UInt8]], file: String = #fileID, line: Int = #line) throws -> [TestFrame] {
        try send(frames)
        sentinels += 1
        let sentinel = TestFrame.bytes(to: destination, run: run | 0x8000_0000, number: sentinels)
        try send([sentinel])
        var arrived: [TestFrame] = []
        while true {
            for frame in try receive(file: file, line: line) {
                if frame.run == run { arrived.append(frame) }
                if frame.run == run | 0x8000_0000, frame.number == sentinels { return arrived }
            }
        }
    }

    /// Waits for frames at the end that the case's direction leads to.
    private func receive(file: String, line: Int) throws -> [TestFrame] {
        if direction == .egress { return try far.collect(wait: true).compactMap { TestFrame($0) } }
        guard let frame = try socket.receive(until: .now + PacketSocket.limit) else {
            throw test.abort("no frame arrives any more", file: file, line: line)
        }
        return TestFrame(frame.bytes).map { [$0] } ?? []
    }

    /// Sends one frame and states which programs of the chain it runs, and whether it arrives with their trace.
    ///
    /// - Parameter trace: where XDP has left its mark, too.
    func expect(
        ran programs: [Int], inFrame trace: [Int]? = nil, arrives: Bool, number: UInt32 = 1, size: Int = 128,
        file: String = #fileID,
        line: Int = #line
    ) throws {
        chain.forget()
        let arrived = try exchange([frame(number, size: size)], file: file, line: line)
        test.expect(
            names(chain.ran(number)), equals: names(programs), "programs that ran on the frame, in order", file: file,
            line: line)
        test.expect(arrived.count, equals: arrives ? 1 : 0, "frames that arrive", file: file, line: line)
        if let frame = arrived.first {
            test.expect(
                names(frame.trace.map { Int($0) }), equals: names(trace ?? programs),
                "programs in the frame's own trace",
                file: file, line: line)
            test.expect(frame.size, equals: size, "size of the frame that arrives", file: file, line: line)
        }
    }

    func names(_ numbers: [Int]) -> String {
        "[" + numbers.map { "P\($0)" }.joined(separator: ",") + "]"
    }
}
