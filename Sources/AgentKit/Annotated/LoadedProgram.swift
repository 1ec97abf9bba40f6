// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import LinuxIO
internal import Synchronization
internal import SystemPackage

/// What is asked of a program that is in the kernel: its instructions, a run, its streams; by raw bpf(2).
struct LoadedProgram {
    let descriptor: CInt

    /// The instructions as the verifier has rewritten them.
    func rewrittenInstructions() -> Result<[UInt8], Errno> {
        info(room: 0).flatMap { first -> Result<[UInt8], Errno> in
            let size = Int(UInt32(first.info, at: 20))
            return info(room: size).map(\.instructions)
        }
    }

    /// `struct bpf_prog_info`: xlated_prog_len is at 20, xlated_prog_insns at 32.
    private func info(room: Int) -> Result<(info: [UInt8], instructions: [UInt8]), Errno> {
        var info = [UInt8](repeating: 0, count: 80)
        var instructions = [UInt8](repeating: 0, count: room)
        var attr = Attr(size: 16)
        attr.set(descriptor, at: 0)
        attr.set(UInt32(info.count), at: 4)
        let answer = unsafe instructions.withUnsafeMutableBytes { space in
            unsafe info.withUnsafeMutableBytes { raw in
                unsafe raw.storeBytes(of: UInt32(room), toByteOffset: 20, as: UInt32.self)
                if room > 0 {
                    unsafe raw.storeBytes(
                        of: UInt64(UInt(bitPattern: space.baseAddress)), toByteOffset: 32, as: UInt64.self)
                }
                attr.set(UInt64(UInt(bitPattern: raw.baseAddress)), at: 8)
                return attr.call(.objGetInfoByFD)
            }
        }
        return answer.map { _ in (info, instructions) }
    }

    /// BPF_PROG_TEST_RUN, once, as the kernel's own runner does it: 64 bytes of zeros in, room for 256 out.
    ///
    /// - Parameters:
    ///   - takesPacket: false for programs of the type SYSCALL, which take nothing.
    ///   - linearSize: how much of the packet is in the linear part of the skb.
    func run(takesPacket: Bool, linearSize: UInt32?) -> Result<Int32, Errno> {
        let input = [UInt8](repeating: 0, count: 64)
        var output = [UInt8](repeating: 0, count: 256)
        // struct __sk_buff, data_end at 80.
        var context = [UInt8](repeating: 0, count: 192)
        var attr = Attr(size: 80)
        attr.set(descriptor, at: 0)
        return unsafe input.withUnsafeBytes { input in
            unsafe output.withUnsafeMutableBytes { output in
                unsafe context.withUnsafeMutableBytes { context in
                    if takesPacket {
                        attr.set(UInt32(input.count), at: 8)
                        attr.set(UInt32(output.count), at: 12)
                        attr.set(UInt64(UInt(bitPattern: input.baseAddress)), at: 16)
                        attr.set(UInt64(UInt(bitPattern: output.baseAddress)), at: 24)
                        attr.set(UInt32(1), at: 32)
                    }
                    if let linearSize {
                        unsafe context.storeBytes(of: linearSize, toByteOffset: 80, as: UInt32.self)
                        attr.set(UInt32(context.count), at: 40)
                        attr.set(UInt64(UInt(bitPattern: context.baseAddress)), at: 48)
                    }
                    return attr.call(.progTestRun).map { _ in attr.get(at: 4) }
                }
            }
        }
    }

    enum Stream: UInt32 {
        case standardOutput = 1
        case standardError = 2

        var name: String { self == .standardOutput ? "stdout" : "stderr" }
    }

    /// BPF_PROG_STREAM_READ_BY_FD, 6.17 and later.
    func read(_ stream: Stream) -> Result<String, Errno> {
        var text = [UInt8](repeating: 0, count: 1 << 20)
        var attr = Attr(size: 24)
        attr.set(UInt32(text.count), at: 8)
        attr.set(stream.rawValue, at: 12)
        attr.set(descriptor, at: 16)
        let answer = unsafe text.withUnsafeMutableBytes { raw in
            attr.set(UInt64(UInt(bitPattern: raw.baseAddress)), at: 0)
            return attr.call(.progStreamReadByFD)
        }
        return answer.map { String(decoding: text[..<Int($0)], as: UTF8.self) }
    }

    // MARK: Base flags

    /// The flags that the kernel's own runner loads every program with, where the kernel has them.
    static func baseFlags() -> UInt32 {
        knownFlags.withLock { known in
            if let known { return known }
            // TEST_RND_HI32, TEST_REG_INVARIANTS
            let flags = [1 << 2, 1 << 7].filter(isKnown).reduce(0, |)
            known = flags
            return flags
        }
    }

    private static let knownFlags = Mutex<UInt32?>(nil)

    /// Loads `r0 = 0; exit` as a socket filter with the flag.
    private static func isKnown(_ flag: UInt32) -> Bool {
        let instructions: [UInt8] = [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]
        let license = Array("GPL".utf8) + [0]
        var attr = Attr(size: 64)
        attr.set(UInt32(1), at: 0)
        attr.set(UInt32(2), at: 4)
        attr.set(flag, at: 44)
        let answer = unsafe instructions.withUnsafeBytes { code in
            unsafe license.withUnsafeBytes { license in
                attr.set(UInt64(UInt(bitPattern: code.baseAddress)), at: 8)
                attr.set(UInt64(UInt(bitPattern: license.baseAddress)), at: 16)
                return attr.call(.progLoad)
            }
        }
        guard case .success(let descriptor) = answer else { return false }
        FileHandle(adopting: descriptor).close()
        return true
    }
}
