// SPDX-License-Identifier: Apache-2.0
public import BTF
internal import LinuxIO
public import SystemPackage

extension BTFTypes {
    /// Reads the types of the running kernel itself.
    ///
    /// - Throws: `.badMessage` for what is no BTF, or has kinds of types that are not known.
    public static func kernel() throws(Errno) -> BTFTypes {
        try read("vmlinux", limit: 64 << 20, base: nil)
    }

    /// Reads the types of a loaded module; ids go on where the kernel's own end.
    public static func module(_ name: String, base: BTFTypes) throws(Errno) -> BTFTypes {
        try read(name, limit: 16 << 20, base: base)
    }

    private static func read(_ name: String, limit: Int, base: BTFTypes?) throws(Errno) -> BTFTypes {
        let bytes = try readFile("/sys/kernel/btf/\(name)", limit: limit)
        do throws(BTFError) {
            return try BTFTypes(bytes, base: base)
        } catch {
            throw .badMessage
        }
    }
}
