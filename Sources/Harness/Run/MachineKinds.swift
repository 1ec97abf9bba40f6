// SPDX-License-Identifier: Apache-2.0
internal import VMRunner

/// What a suite wants its machines to have beyond what all of a run have.
struct MachineKind: Sendable, Hashable {
    /// Processors, at least.
    var cpus = 1
    var cards: [NetworkCard] = []

    /// A machine that does for both.
    func joined(_ other: MachineKind) -> MachineKind {
        MachineKind(cpus: max(cpus, other.cpus), cards: cards.isEmpty ? other.cards : cards)
    }

    /// For people.
    var text: String {
        let network = cards.isEmpty ? [] : [cards.map(\.rawValue).joined(separator: ", ")]
        return ((cpus > 1 ? ["\(cpus) processors"] : []) + network).joined(separator: ", ")
    }
}

/// Sources of machines that have more than the others of a run, for suites that want them.
///
/// Made when the first unit wants one: most runs need none.
final class MachineKinds: Sendable {
    /// How a kernel that boots with less failed to boot with this.
    struct Broken: Error {
        let failure: BootFailure
        let console: [String]
    }

    private struct Kind: Hashable {
        var kernel: Int
        var machine: MachineKind
    }

    private enum Entry {
        case making
        case made(Result<MachineSource, Broken>)
    }

    private let entries = Monitor<[Kind: Entry]>([:])

    /// Gives the frozen machines of a kernel up.
    func forget(_ kernel: Int) {
        entries.change { entries in entries = entries.filter { $0.key.kernel != kernel } }
    }

    /// What has been made, or is made now; whoever else wants it meanwhile waits.
    ///
    /// - Parameter make: called by the first who asks; when it throws, the next one tries again.
    func source(
        kernel: Int, machine: MachineKind, make: () throws(HarnessError) -> Result<MachineSource, Broken>
    ) throws(HarnessError) -> Result<MachineSource, Broken> {
        let kind = Kind(kernel: kernel, machine: machine)
        let known = entries.wait { entries -> Result<MachineSource, Broken>?? in
            switch entries[kind] {
            case .making: return nil
            case .made(let result): return .some(result)
            case nil:
                entries[kind] = .making
                return .some(nil)
            }
        }
        if let known { return known }
        do {
            let result = try make()
            entries.change { $0[kind] = .made(result) }
            return result
        } catch {
            entries.change { $0[kind] = nil }
            throw error
        }
    }
}
