// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Harness

@main
struct BPFTest: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bpftest",
        abstract: "Tests what a Linux kernel promises to BPF programs: a kernel goes in, TAP comes out.",
        version: bpftestVersion,
        subcommands: [
            RunCommand.self, ExecCommand.self, MatrixCommand.self, InitCommand.self, ListCommand.self,
            ReportCommand.self, ExploreCommand.self, SurfaceCommand.self, KernelsCommand.self, ZygotesCommand.self,
            HistoryCommand.self,
            BisectCommand.self, ReplayCommand.self, MinimiseCommand.self,
            FlakesCommand.self,
            SlowestCommand.self, DoctorCommand.self,
        ])

    /// ArgumentParser ends with EX_USAGE (64) for a wrong call; here that is 2, as test_progs' users know it.
    static func main() async {
        do {
            var command = try parseAsRoot(RunCommand.withOptionalValues(Array(CommandLine.arguments.dropFirst())))
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            let code = exitCode(for: error)
            if code == .validationFailure {
                Terminal.log(fullMessage(for: error))
                Terminal.end(2)
            }
            exit(withError: error)
        }
    }
}
