// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// What BPF_PROG_TEST_RUN gives to a program.
///
/// - Source: net/bpf/test_run.c; the fields of `union bpf_attr` under `test`.
public struct TestRun: Sendable {
    /// The packet; 14 bytes at least for most kinds of programs, none at all for `syscall`.
    public var data: [UInt8]
    /// `struct __sk_buff`, `struct xdp_md`, the arguments of a raw tracepoint, or what a `syscall` program gets;
    /// its start is enough.
    public var context: [UInt8]
    /// Bytes of room for the packet afterwards; nil for none, which a program that takes no packet needs. Too few
    /// are answered with ENOSPC.
    public var dataRoom: Int?
    /// Bytes of room for the context afterwards; `syscall` programs leave it where it came from and take no room.
    public var contextRoom: Int?
    /// How often the program runs; 0 is once.
    public var times: UInt32
    public var flags: Flags
    /// The CPU that a raw tracepoint program runs on, with `.onCPU`.
    public var cpu: UInt32
    /// Live frames in a batch.
    public var batchSize: UInt32

    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let onCPU = Flags(rawValue: 1 << 0)
        /// XDP: the packet goes where the program's verdict sends it (5.18).
        public static let liveFrames = Flags(rawValue: 1 << 1)
        /// tc: the checksum is `CHECKSUM_COMPLETE` (6.16).
        public static let checksumComplete = Flags(rawValue: 1 << 2)
    }

    public init(
        data: [UInt8] = [], context: [UInt8] = [], dataRoom: Int? = nil, contextRoom: Int? = nil, times: UInt32 = 0,
        flags: Flags = [], cpu: UInt32 = 0, batchSize: UInt32 = 0
    ) {
        self.data = data
        self.context = context
        self.dataRoom = dataRoom
        self.contextRoom = contextRoom
        self.times = times
        self.flags = flags
        self.cpu = cpu
        self.batchSize = batchSize
    }

    /// What a run left behind.
    public struct Outcome: Sendable, Equatable {
        public var returned: UInt32
        /// The packet, if there was room for it.
        public var data: [UInt8]
        /// The context, if there was room for it; for `syscall` programs always.
        public var context: [UInt8]
    }

    /// The system call for a program's descriptor, with nothing checked or repaired on the way.
    public func callAsFunction(_ program: CInt) -> Result<Outcome, Errno> {
        var packetIn = data
        var packetOut = [UInt8](repeating: 0, count: dataRoom ?? 0)
        var contextIn = context
        var contextOut = [UInt8](repeating: 0, count: contextRoom ?? 0)
        var attr = Attr(size: 80)
        attr.set(program, at: 0)
        attr.set(UInt32(data.count), at: 8)
        attr.set(UInt32(packetOut.count), at: 12)
        attr.set(times, at: 32)
        attr.set(UInt32(context.count), at: 40)
        attr.set(UInt32(contextOut.count), at: 44)
        attr.set(flags.rawValue, at: 64)
        attr.set(cpu, at: 68)
        attr.set(batchSize, at: 72)
        let answer = Self.withAddresses(&packetIn, &packetOut, &contextIn, &contextOut) { addresses in
            for (address, offset) in zip(addresses, [16, 24, 48, 56]) { attr.set(address, at: offset) }
            return attr.call(.progTestRun)
        }
        return answer.map { _ in
            let size: UInt32 = attr.get(at: 12)
            let contextSize: UInt32 = attr.get(at: 44)
            return Outcome(
                returned: attr.get(at: 4), data: Array(packetOut.prefix(Int(size))),
                // A `syscall` program's context comes back in place.
                context: contextRoom == nil ? contextIn : Array(contextOut.prefix(Int(contextSize))))
        }
    }

    /// Where four arrays are; 0 for an empty one.
    private static func withAddresses<Value>(
        _ first: inout [UInt8], _ second: inout [UInt8], _ third: inout [UInt8], _ fourth: inout [UInt8],
        _ body: ([UInt64]) -> Value
    ) -> Value {
        unsafe first.withUnsafeMutableBytes { first in
            unsafe second.withUnsafeMutableBytes { second in
                unsafe third.withUnsafeMutableBytes { third in
                    unsafe fourth.withUnsafeMutableBytes { fourth in
                        let all = unsafe [first, second, third, fourth]
                        let addresses = unsafe all.map { part in
                            unsafe part.isEmpty ? 0 : UInt64(UInt(bitPattern: part.baseAddress))
                        }
                        return body(addresses)
                    }
                }
            }
        }
    }
}

extension BPFObject {
    /// BPF_PROG_TEST_RUN, without a context.
    ///
    /// - Parameter data: the packet for a program that takes one, 14 bytes at least; nothing for `syscall` programs.
    /// - Returns: what the program returned, or the errno.
    public func run(_ program: String, data: [UInt8] = []) throws(LoadError) -> Result<UInt32, Errno> {
        try run(program, TestRun(data: data)).map(\.returned)
    }

    /// BPF_PROG_TEST_RUN with whatever it takes: packet and context in and out, flags.
    public func run(_ program: String, _ request: TestRun) throws(LoadError) -> Result<TestRun.Outcome, Errno> {
        request(try self.program(program))
    }
}
