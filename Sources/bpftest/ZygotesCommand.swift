// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness

/// `bpftest zygotes`: the frozen machines in the cache.
struct ZygotesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zygotes", abstract: "Frozen machines, from which others are restored: list, prune.",
        discussion: "They are made when needed; what has not been used for longest goes when they take more than 8 GiB "
            + "(BPFTEST_ZYGOTES_MAX names another limit, in MiB).",
        subcommands: [List.self, Prune.self], defaultSubcommand: List.self)

    static func store() -> ZygoteStore {
        let environment = ProcessInfo.processInfo.environment
        return ZygoteStore(folders: Folders(environment: environment), environment: environment) {
            Terminal.log("bpftest: \($0)")
        }
    }
}

extension ZygotesCommand {
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List them, the one used last first.")

        func run() {
            Table.run { () throws(HarnessError) in
                let entries = ZygotesCommand.store().list()
                if entries.isEmpty { Terminal.log("no zygotes in the cache: bpftest run makes them") }
                try Table.show(
                    [("KERNEL", .left), ("MACHINE", .left), ("SIZE", .right), ("LAST USED", .left), ("NAME", .left)],
                    entries.map { entry in
                        [
                            entry.release, entry.isWhole ? entry.machine : "(not whole)", "\(entry.size >> 20) MiB",
                            Table.text(Date(timeIntervalSince1970: Double(entry.lastUsed))), entry.name,
                        ]
                    })
            }
        }
    }

    struct Prune: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove those that were not used for longest, until the rest takes no more than a limit.")

        @Option(help: ArgumentHelp("The limit; 0 removes all.", valueName: "MiB"))
        var to = 0

        func validate() throws {
            guard (0...1 << 30).contains(to) else { throw ValidationError("--to wants a number of MiB") }
        }

        func run() {
            Table.run { () throws(HarnessError) in
                let removed = ZygotesCommand.store().prune(to: to << 20)
                for name in removed { try KernelsCommand.show(name) }
            }
        }
    }
}
