// SPDX-License-Identifier: Apache-2.0

/// Why a program did not come as far as the verifier: what libbpf missed in the kernel, or what libbpf itself lacks.
///
/// - Source: messages of libbpf 1.1.2, src/libbpf.c.
enum Obstacle: Equatable {
    /// A symbol, type or function of a module that is not loaded.
    case missingInModule(what: String, module: String)
    /// The kernel has no such kfunc, variable, type or function.
    case missingInKernel(what: String)
    /// The library does not know how to load this.
    case unknownToLibrary(what: String)

    /// Finds the obstacle in what libbpf said; nil where it names none that is known.
    init?(_ messages: String) {
        for line in messages.split(separator: "\n") {
            for (start, end, what) in Self.missing {
                guard let name = Self.quoted(line, start, end) else { continue }
                if what.hasPrefix("kfunc"), let flavor = name.firstRange(of: "___") {
                    let plain = name[..<flavor.lowerBound]
                    self = .unknownToLibrary(what: "kfunc \(name), a variant of \(plain) (libbpf 1.4 finds it)")
                    return
                }
                if let module = KernelModules.module(of: name) {
                    self = .missingInModule(what: "\(what) \(name)", module: module)
                } else {
                    self = .missingInKernel(what: "\(what) \(name)")
                }
                return
            }
            for (part, what) in Self.unknown where line.contains(part) {
                self = .unknownToLibrary(what: "\(what): \(line.drop { $0 == " " })")
                return
            }
        }
        return nil
    }

    private static let missing = [
        ("extern (func ksym) '", "': not found", "kfunc"),
        ("extern (func ksym) '", "': func_proto", "kfunc of this prototype,"),
        ("extern (var ksym) '", "': not found", "variable"),
        ("extern '", "' (strong): not resolved", "symbol"),
        ("struct_ops init_kern: struct ", " is not found", "struct"),
        ("struct_ops init_kern: struct ", " data is not found", "struct"),
        ("failed to find kernel BTF type ID of '", "'", "function or type"),
    ]

    private static let unknown = [
        ("missing BPF prog type, check ELF section name", "the section's kind of program"),
        ("legacy map definitions", "maps in the old form"),
        ("elf: skipping unrecognized data section", "a section"),
        ("unexpected def kind", "a map's definition"),
        ("unknown field '", "a map's definition"),
        ("': expected PTR, got ", "a map's definition"),
        ("is static and not supported", "a static program"),
        ("Unsupported BTF_KIND", "a kind of type"),
        ("unsupported BTF_KIND", "a kind of type"),
    ]

    private static func quoted(_ line: Substring, _ start: String, _ end: String) -> String? {
        guard let from = line.firstRange(of: start) else { return nil }
        let rest = line[from.upperBound...]
        guard let to = rest.firstRange(of: end) else { return nil }
        let name = String(rest[..<to.lowerBound])
        // A struct's name in a message without quotes.
        return name.contains(" ") || name.isEmpty ? nil : name
    }

    var description: String {
        switch self {
        case .missingInModule(let what, let module): "\(what) is in module \(module), which is not loaded"
        case .missingInKernel(let what): "\(what) is not in this kernel"
        case .unknownToLibrary(let what): "libbpf 1.1 cannot load it: \(what)"
        }
    }
}

/// Which module of the kernel's own tree has what programs refer to.
enum KernelModules {
    /// The module of a kfunc, variable, type or function; nil for the kernel proper, or not known.
    static func module(of name: String) -> String? {
        if name.contains("testmod") { return "bpf_testmod" }
        return table.first { entry in entry.prefixes.contains { name.hasPrefix($0) } }?.module
    }

    /// - Source: tools/testing/selftests/bpf/bpf_testmod (6.12), test_kmods (7.2); net/netfilter, net/xfrm, net/ipv4 and
    ///   drivers/hid/bpf of 6.12.
    private static let table: [(module: String, prefixes: [String])] = [
        ("bpf_test_modorder_x", ["bpf_test_modorder_retx"]),
        ("bpf_test_modorder_y", ["bpf_test_modorder_rety"]),
        (
            "bpf_testmod",
            [
                "bpf_kfunc_", "bpf_fentry_shadow_test", "bpf_ops_", "bpf_uprobe_", "multi_st_ops",
            ]
        ),
        ("nf_conntrack", ["bpf_ct_", "bpf_skb_ct_", "bpf_xdp_ct_", "nf_conn"]),
        ("nf_flow_table", ["bpf_xdp_flow_lookup"]),
        ("xfrm_interface", ["bpf_skb_get_xfrm_info", "bpf_skb_set_xfrm_info"]),
        ("fou", ["bpf_skb_set_fou_encap", "bpf_skb_get_fou_encap"]),
        ("hid", ["hid_bpf_"]),
    ]
}
