// SPDX-License-Identifier: Apache-2.0
internal import CBpf
internal import LinuxIO
internal import SystemPackage

extension BPFObject {
    /// What an object's annotations say that the verifier must say of a program; nothing is loaded.
    ///
    /// - Returns: the texts of `__msg(…)` in the order of the object's BTF.
    /// - Source: docs/semantics/upstream-map.md, "Annotations", the form of 6.12.
    static func expectedMessages(_ name: String, program: String) throws(LoadError) -> [String] {
        let path = name.hasPrefix("/") ? name : directory + "/" + name
        LibbpfMessages.capture()
        guard let btf = unsafe btf__parse(path, nil) else {
            throw LoadError(
                path: path, step: "read the BTF of", errno: Errno.last, log: "", messages: LibbpfMessages.take())
        }
        defer { unsafe btf__free(btf) }
        let function = unsafe btf__find_by_name_kind(btf, program, Self.functionKind)
        guard function > 0 else {
            throw LoadError(
                path: path, step: "find function \(program) in the BTF of", errno: .noSuchFileOrDirectory, log: "",
                messages: "")
        }
        var messages: [String] = []
        for id in 1..<(unsafe btf__type_cnt(btf)) {
            guard let type = unsafe btf__type_by_id(btf, id),
                unsafe type.pointee.info >> 24 & 0x1f == Self.tagKind,
                unsafe type.pointee.type == UInt32(function),
                let text = unsafe btf__name_by_offset(btf, type.pointee.name_off)
            else { continue }
            let parts = unsafe String(cString: text).split(separator: "=", maxSplits: 2)
            // The number between is only there to keep equal texts apart.
            if parts.count == 3, parts[0] == "comment:test_expect_msg" { messages.append(String(parts[2])) }
        }
        return messages
    }

    /// BTF_KIND_FUNC and BTF_KIND_DECL_TAG, whose names Swift finds twice.
    private static let functionKind: UInt32 = 12
    private static let tagKind: UInt32 = 17
}
