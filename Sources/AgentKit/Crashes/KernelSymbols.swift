// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// `AGENT symbols`: the kernel's functions and where they are, one `ADDRESS NAME` a line, for a host that has only the
/// registers of a machine that hangs.
enum KernelSymbols {
    /// - Returns: the exit status.
    static func write() -> CInt {
        let text: [UInt8]
        do {
            text = try readFile("/proc/kallsyms", limit: 64 << 20)
        } catch {
            AgentMain.emit("/proc/kallsyms: \(error.name)\n")
            return 1
        }
        var out: [UInt8] = []
        var start = 0
        while start < text.count {
            let end = text[start...].firstIndex(of: 0x0a) ?? text.count
            // 16 digits, a space, the kind, a space, the name; of modules a tab and the module.
            if end - start > 19, [0x74, 0x54, 0x77, 0x57].contains(text[start + 17]) {
                out += text[start..<(start + 17)]
                out += text[(start + 19)..<end].prefix { $0 != 0x09 }
                out.append(0x0a)
            }
            if out.count > 1 << 16 {
                AgentMain.emit(out)
                out.removeAll(keepingCapacity: true)
            }
            start = end + 1
        }
        AgentMain.emit(out)
        return 0
    }
}
