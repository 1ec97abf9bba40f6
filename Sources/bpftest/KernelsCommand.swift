// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness
internal import SystemPackage

/// `bpftest kernels`: the kernels in the cache.
struct KernelsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels", abstract: "Kernels by version: what is in the cache, fetch, build, prune.",
        subcommands: [List.self, Fetch.self, Build.self, Prune.self], defaultSubcommand: List.self)

    /// Progress goes to stderr; stdout has the command's answer.
    static func store() -> KernelStore {
        KernelStore(folders: Folders(environment: ProcessInfo.processInfo.environment)) {
            Terminal.log("bpftest: \($0)")
        }
    }

    /// A line of the command's answer.
    static func show(_ text: String) throws(HarnessError) {
        do {
            try Terminal.results(text + "\n")
        } catch {
            throw .infrastructure("\(error)")
        }
    }

    /// Runs the body; a failure is a line on stderr and the exit code of its kind.
    static func run(_ body: () async throws(HarnessError) -> Void) async throws {
        do throws(HarnessError) {
            try await body()
        } catch {
            throw ExitCode(Terminal.report(error))
        }
    }
}

extension KernelsCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the kernels in the cache.",
            discussion: "Columns: what to give to -k, mainline version, where it is from, MiB on disk.")

        func run() async throws {
            try await KernelsCommand.run { () async throws(HarnessError) in
                let kernels = KernelsCommand.store().cachedKernels()
                if kernels.isEmpty { Terminal.log("no kernels in the cache: bpftest kernels fetch 6.12 gets one") }
                let rows = kernels.map { kernel in
                    [kernel.name ?? kernel.release, kernel.version, kernel.origin, "\(kernel.size >> 20) MiB"]
                }
                for row in rows {
                    let cells = row.enumerated().map { column, text in
                        text.padding(
                            toLength: rows.map { $0[column].count }.max() ?? 0, withPad: " ", startingAt: 0)
                    }
                    try KernelsCommand.show(cells.joined(separator: "  ").trimmingCharacters(in: .whitespaces))
                }
            }
        }
    }

    struct Fetch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fetch the newest kernels of some versions from Debian's archive.",
            discussion: "The cloud flavour, verified by apt's own signatures; the system's apt is not touched.")

        @Argument(help: "Versions, such as 6.12, 6.1.* or 7.3-rc.")
        var versions: [String]

        func validate() throws {
            for version in versions where KernelRequest(version) == nil {
                throw ValidationError("'\(version)' is no kernel version (such as 6.12, 6.1.* or 7.3-rc)")
            }
        }

        func run() async throws {
            try await KernelsCommand.run { () async throws(HarnessError) in
                for request in versions.compactMap({ KernelRequest($0) }) {
                    try KernelsCommand.show(try await KernelsCommand.store().fetch(request).release)
                }
            }
        }
    }

    struct Build: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Build a minimal kernel from a source tree and put it into the cache.",
            discussion: "tinyconfig plus the fragments base, bpf and net. The source tree is not written to.")

        @Option(help: ArgumentHelp("The kernel's source tree.", valueName: "dir"))
        var source: String

        @Option(help: "What to call it: the name for -k. Without: its release.")
        var name: String?

        @Option(
            help: ArgumentHelp(
                "One more fragment: debug, or a file with lines as in a .config; repeatable.", valueName: "fragment"))
        var fragment: [String] = []

        @Option(name: .shortAndLong, help: "Compilers at a time.")
        var jobs: Int = ProcessInfo.processInfo.activeProcessorCount

        func run() async throws {
            try await KernelsCommand.run { () async throws(HarnessError) in
                let builder = KernelBuilder(
                    source: FilePath(source), name: name, fragments: KernelBuilder.usualFragments + fragment,
                    jobs: max(1, jobs))
                let kernel = try await builder.build(into: KernelsCommand.store())
                try KernelsCommand.show(kernel.name ?? kernel.release)
            }
        }
    }

    struct Prune: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove what can be made again: guest images, build folders, older kernels of the same version.",
            discussion: "With names: these kernels instead.")

        @Argument(help: "Kernels, by the name that `kernels list` shows.")
        var names: [String] = []

        @Flag(help: "Every kernel in the cache.")
        var all = false

        func run() async throws {
            try await KernelsCommand.run { () async throws(HarnessError) in
                for line in try await KernelsCommand.store().prune(names: names, all: all) {
                    try KernelsCommand.show("removed \(line)")
                }
            }
        }
    }
}
