// SPDX-License-Identifier: Apache-2.0
internal import BTF
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import Synchronization
internal import SystemPackage

/// The kernel's own type information, as far as features are read from it.
///
/// Read by us and not by libbpf: a search for a name costs a pass over 5 MB here, a tree of all types there.
///
/// - Source: Documentation/bpf/btf.rst; kinds 0 to 19 as of 7.3.
enum KernelBTF {
    /// Whether the kernel or one of its loaded modules has a function of this name.
    static func hasFunction(_ name: String) -> Result<Bool, Errno> {
        do {
            let vmlinux = try vmlinux()
            if try vmlinux.hasFunction(name, base: nil) { return .success(true) }
            for module in try modules() where try module.hasFunction(name, base: vmlinux) { return .success(true) }
            return .success(false)
        } catch {
            return .failure(error)
        }
    }

    static let folder = "/sys/kernel/btf"
    private static let cache = Mutex<BTFFile?>(nil)

    private static func vmlinux() throws(Errno) -> BTFFile {
        if let known = cache.withLock({ $0 }) { return known }
        guard let file = BTFFile(try readFile("\(folder)/vmlinux", limit: 64 << 20)) else { throw .badMessage }
        cache.withLock { $0 = file }
        return file
    }

    private static func modules() throws(Errno) -> [BTFFile] {
        var files: [BTFFile] = []
        for name in try names() where name != "vmlinux" {
            if let file = BTFFile(try readFile("\(folder)/\(name)", limit: 16 << 20)) { files.append(file) }
        }
        return files
    }

    /// What has types: `vmlinux`, and the loaded modules that brought some.
    static func names() throws(Errno) -> [String] {
        guard let directory = unsafe opendir(folder) else { throw Errno.last }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }
}

/// One blob of BTF.
struct BTFFile: Sendable {
    private let bytes: [UInt8]
    private let types: Range<Int>
    private let strings: Range<Int>

    private static let headerSize = 24
    private static let functionKind: UInt32 = 12

    /// nil when the header is not BTF's or points outside.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.headerSize, bytes[0] == 0x9f, bytes[1] == 0xeb else { return nil }
        let header = Int(UInt32(bytes, at: 4))
        let typeStart = header + Int(UInt32(bytes, at: 8))
        let typeEnd = typeStart + Int(UInt32(bytes, at: 12))
        let stringStart = header + Int(UInt32(bytes, at: 16))
        let stringEnd = stringStart + Int(UInt32(bytes, at: 20))
        guard typeEnd <= bytes.count, stringEnd <= bytes.count else { return nil }
        self.bytes = bytes
        types = typeStart..<typeEnd
        strings = stringStart..<stringEnd
    }

    /// - Parameter base: for a module: the kernel's own, whose strings come first.
    /// - Throws: `.badMessage` for a kind of type that is not known: what comes after it cannot be read.
    func hasFunction(_ name: String, base: BTFFile?) throws(Errno) -> Bool {
        var offsets: [UInt32] = []
        if let own = offset(of: name) { offsets.append(UInt32(own + (base?.strings.count ?? 0))) }
        if let inherited = base?.offset(of: name) { offsets.append(UInt32(inherited)) }
        if offsets.isEmpty { return false }
        guard let found = hasFunction(nameAt: offsets) else { throw .badMessage }
        return found
    }

    /// Where a whole string starts in the table of strings.
    private func offset(of name: String) -> Int? {
        let wanted: [UInt8] = [0] + Array(name.utf8) + [0]
        return unsafe bytes.withUnsafeBytes { raw -> Int? in
            unsafe wanted.withUnsafeBytes { needle -> Int? in
                let table = unsafe UnsafeRawBufferPointer(rebasing: raw[strings])
                guard let start = table.baseAddress, let text = needle.baseAddress,
                    let found = unsafe clinux_find(start, table.count, text, needle.count)
                else { return nil }
                return unsafe found - start + 1
            }
        }
    }

    private func hasFunction(nameAt offsets: [UInt32]) -> Bool? {
        unsafe bytes.withUnsafeBytes { raw in
            var at = types.lowerBound
            while at + 12 <= types.upperBound {
                let name = unsafe raw.loadUnaligned(fromByteOffset: at, as: UInt32.self)
                let info = unsafe raw.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self)
                let kind = info >> 24 & 0x1f
                if kind == Self.functionKind, offsets.contains(name) { return true }
                guard let extra = BTFKind.extraBytes(kind, count: Int(info & 0xffff)) else { return nil }
                at += 12 + extra
            }
            return false
        }
    }
}

extension Feature {
    /// A kernel function that programs can call, by its name in the kernel's BTF.
    ///
    /// - Parameter config: options that the function depends on, besides those of BTF itself.
    public static func kfunc(_ name: String, since: String, config: [String] = []) -> Feature {
        Feature(name, since: since, config: ["CONFIG_DEBUG_INFO_BTF"] + config) {
            switch KernelBTF.hasFunction(name) {
            case .success(true): .present
            case .success(false): .absent(evidence: "no function \(name) in the BTF of the kernel and its modules")
            case .failure(let errno): .absent(evidence: "BTF of the kernel: \(errno.name) (\(errno.rawValue))")
            }
        }
    }

    /// BPF programs on LSM hooks: compiled in is not enough, `bpf` must be in the list of active modules.
    public static let bpfLSM = Feature("bpf-lsm", since: "5.7", config: ["CONFIG_BPF_LSM"]) {
        let path = "/sys/kernel/security/lsm"
        do throws(Errno) {
            let list = String(decoding: try readFile(path), as: UTF8.self)
            if list.split(whereSeparator: { $0 == "," || $0.isWhitespace }).contains("bpf") { return .present }
            return .absent(evidence: "\(path): \(list)")
        } catch {
            return .absent(evidence: "\(path): \(error.name) (\(error.rawValue))")
        }
    }
}
