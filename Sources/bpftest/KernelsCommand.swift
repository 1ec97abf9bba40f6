// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness

/// `bpftest kernels`: the kernels in the cache.
struct KernelsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels", abstract: "Kernels by version: what is in the cache, fetch, build, prune.",
        subcommands: [List.self, Fetch.self], defaultSubcommand: List.self)

    /// Progress goes to stderr; stdout has the command's answer.
    static func store() -> KernelStore {
        KernelStore(folders: Folders(environment: ProcessInfo.processInfo.environment)) {
            Terminal.log("bpftest: \($0)")
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
        static let configuration = CommandConfiguration(abstract: "List the kernels in the cache.")

        func run() async throws {
            for kernel in KernelsCommand.store().cachedKernels() {
                print(
                    "\(kernel.name ?? kernel.release)\t\(kernel.version)\t\(kernel.source.rawValue)\t\(kernel.folder)")
            }
        }
    }

    struct Fetch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fetch the newest kernels of some versions from Debian's archive.")

        @Argument(help: "Versions, such as 6.12, 6.1.* or 5.10.")
        var versions: [String]

        func validate() throws {
            for version in versions where KernelRequest(version) == nil {
                throw ValidationError("'\(version)' is no kernel version (such as 6.12, 6.1.* or 7.3-rc)")
            }
        }

        func run() async throws {
            try await KernelsCommand.run { () async throws(HarnessError) in
                for request in versions.compactMap({ KernelRequest($0) }) {
                    print(try await KernelsCommand.store().fetch(request).release)
                }
            }
        }
    }
}
