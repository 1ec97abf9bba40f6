// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import BTF
internal import LinuxIO
internal import SystemPackage

/// What the suites ask of the running kernel's types, found once: reading 150,000 types takes longer than most cases.
///
/// The suites find it when they are prepared, so that the processes of their cases have it. The types themselves are
/// not kept: each of these processes would be born with their memory.
struct KernelFacts: Sendable {
    /// The functions of the catalogue that BTF has: their ids by name.
    let functions: [String: UInt32]
    /// Their prototypes as BTF has them.
    let prototypes: [String: String]
    /// The functions that BTF says to be kfuncs.
    let tagged: Set<String>
    /// Values by enumeration.
    let enumerations: [String: [(name: String, value: Int64)]]
    /// Types of programs that are for one function of the kernel.
    let targeted: [ProbeType]
    let catalogue: KfuncCatalogue

    /// Throws what reading them threw.
    static func found() throws -> KernelFacts { try result.get() }

    static let result = Result { try KernelFacts() }

    private init() throws {
        let types = try BTFTypes.kernel()
        catalogue = try KfuncCatalogue()
        let all = types.functions()
        var functions: [String: UInt32] = [:]
        var prototypes: [String: String] = [:]
        for row in catalogue.rows {
            guard let id = all[row.name] else { continue }
            functions[row.name] = id
            prototypes[row.name] = types.prototype(of: id)
        }
        self.functions = functions
        self.prototypes = prototypes
        tagged = types.functions(tagged: "bpf_kfunc")
        var enumerations: [String: [(name: String, value: Int64)]] = [:]
        for name in ["bpf_func_id"] + frozenEnumerations.keys { enumerations[name] = types.enumeration(name) }
        self.enumerations = enumerations
        targeted = ProbeType.targeted(types, functions: all)
    }
}
