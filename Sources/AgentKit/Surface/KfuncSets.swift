// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import SystemPackage

/// The kfuncs that the kernel has registered, each with its flags: read out of the kernel's memory by a program, as
/// they are kept nowhere else.
///
/// Linux 6.0 and later (commit a4703e318432): before, flags are not kept in one place. Programs that can be run by a
/// system call and are not attached to anything are there since 5.14.
struct KfuncSets {
    /// The kfuncs of one owner for one hook.
    struct Found {
        /// `vmlinux`, or a module.
        var owner: String
        /// `enum btf_kfunc_hook`.
        var hook: UInt32
        /// A BTF id and its flags each, 32 bits, as the kernel has them.
        var pairs: [UInt8]
    }

    private let object: BPFObject
    private let program: CInt

    init() throws(LoadError) {
        object = try BPFObject("surface/kfuncs.bpf.o")
        program = try object.program("read_set")
    }

    /// All sets of the kernel and its loaded modules.
    ///
    /// - Throws: `.notSupported` when the kernel does not keep them this way.
    func all() throws -> [Found] {
        var found: [Found] = []
        for types in try Self.owners() {
            var hook: UInt32 = 0
            var hooks: UInt32 = 1
            while hook < hooks {
                var call = [types.descriptor.raw.littleEndian].withBytes()
                call += [hook].withBytes() + [UInt8](repeating: 0, count: 12)
                let outcome = try TestRun(context: call)(program).get()
                let status = Int32(bitPattern: outcome.returned)
                guard status == 0 else { throw Errno(rawValue: -status) }
                // More hooks than that are no table of hooks.
                hooks = min(outcome.context.word(at: 8), 64)
                let count = Int(outcome.context.word(at: 12))
                if count > 0 {
                    let bytes = try object.bytes(of: "pairs")
                    found.append(Found(owner: types.name, hook: hook, pairs: Array(bytes.prefix(8 * count))))
                }
                hook += 1
            }
        }
        return found
    }

    // MARK: Whose types there are

    /// Descriptors of the types of the kernel and of its modules.
    private static func owners() throws(Errno) -> [(name: String, descriptor: FileHandle)] {
        var found: [(String, FileHandle)] = []
        var id: UInt32 = 0
        while true {
            var attr = Attr(size: 16)
            attr.set(id, at: 0)
            switch attr.call(.btfGetNextID) {
            case .failure(.noSuchFileOrDirectory): return found
            case .failure(let errno): throw errno
            case .success: id = attr.get(at: 4)
            }
            switch BPFCall.byID(.btfGetFDByID, id) {
            case .success(let raw):
                let handle = FileHandle(adopting: raw)
                if let name = try kernelName(raw) { found.append((name, handle)) }
            // Gone meanwhile.
            case .failure(.noSuchFileOrDirectory): continue
            case .failure(let errno): throw errno
            }
        }
    }

    /// `struct bpf_btf_info`: the name's place is at 16, its room at 24, whether they are the kernel's at 28.
    private static func kernelName(_ descriptor: CInt) throws(Errno) -> String? {
        var info = [UInt8](repeating: 0, count: 32)
        var name = [UInt8](repeating: 0, count: 128)
        var attr = Attr(size: 16)
        attr.set(descriptor, at: 0)
        attr.set(UInt32(info.count), at: 4)
        let room = UInt32(name.count)
        let answer = unsafe name.withUnsafeMutableBytes { text in
            unsafe info.withUnsafeMutableBytes { raw in
                unsafe raw.storeBytes(of: UInt64(UInt(bitPattern: text.baseAddress)), toByteOffset: 16, as: UInt64.self)
                unsafe raw.storeBytes(of: room, toByteOffset: 24, as: UInt32.self)
                attr.set(UInt64(UInt(bitPattern: raw.baseAddress)), at: 8)
                return attr.call(.objGetInfoByFD)
            }
        }
        _ = try answer.get()
        guard info.word(at: 28) != 0 else { return nil }
        return String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
    }
}

extension [UInt8] {
    fileprivate func word(at offset: Int) -> UInt32 {
        guard offset + 4 <= count else { return 0 }
        return (0..<4).reduce(0) { $0 | UInt32(self[offset + $1]) << (8 * UInt32($1)) }
    }
}

extension Array where Element: FixedWidthInteger {
    fileprivate func withBytes() -> [UInt8] {
        flatMap { value in (0..<(Element.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    }
}
