// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness
internal import SystemPackage

/// `bpftest init`: the files that a project begins with.
struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Write a bpftest.toml, and a workflow for GitHub Actions.",
        discussion: "What is there already is left as it is.")

    @Flag(help: "Write .github/workflows/bpftest.yml instead: its jobs are computed from bpftest.toml.")
    var github = false

    @Option(help: ArgumentHelp("With --github: machines at once.", valueName: "n"))
    var shards = 4

    func validate() throws {
        guard (1...256).contains(shards) else { throw ValidationError("--shards wants 1 to 256") }
    }

    func run() async throws {
        await Terminal.carryOut { (_) async throws(HarnessError) in
            let path: FilePath
            if github {
                path = ".github/workflows/bpftest.yml"
                try MatrixTemplates.write(MatrixTemplates.workflow(shards: shards), to: path)
            } else {
                path = FilePath(MatrixConfig.usualName)
                try MatrixTemplates.write(
                    MatrixTemplates.config(objects: MatrixTemplates.objects(in: ".")), to: path)
            }
            try KernelsCommand.show("\(path)")
            return 0
        }
    }
}
