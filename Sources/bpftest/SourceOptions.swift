// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness

/// Where kernels by version come from besides Debian's archive: options of every command that takes kernels.
struct SourceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A folder of kernel builds, which come before all others. Repeatable.", valueName: "dir"))
    var kernelsDir: [String] = []

    @Option(
        help: ArgumentHelp("A file of kernel sources, as bpftest.toml has them. Repeatable.", valueName: "file"))
    var sources: [String] = []

    /// What they say, and the environment.
    func read() throws(HarnessError) -> KernelSources {
        try KernelSources.all(
            environment: ProcessInfo.processInfo.environment, folders: kernelsDir, files: sources)
    }

    /// For a bpftest that this one starts.
    var words: [String] { absoluteWords { $0 } }

    /// For one that is started in another folder.
    func absoluteWords(_ absolute: (String) -> String) -> [String] {
        kernelsDir.flatMap { ["--kernels-dir", absolute($0)] } + sources.flatMap { ["--sources", absolute($0)] }
    }
}
