// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Testing

extension MachineTests {
    /// `bpftest explore`, from the command line to the verdict.
    @Suite(.serialized)
    struct Explorations {
        private func write(_ text: String, _ command: Command) throws -> String {
            let path = command.folder + "/a.script"
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            return path
        }

        @Test func thousandsOfOperationsAgreeWithTheModel() throws {
            let command = try Command()
            let end = try command.run([
                "explore", "mprog", "-k", "6.12", "--target", "tcx", "--seed", "3", "--ops", "3000",
            ])
            #expect(end == .exited(0), "\(command.stdout)\(command.stderr)")
            #expect(command.stdout.contains("# 1 passed, 0 failed, 0 skipped"), "\(command.stdout)")
            #expect(command.stderr.contains("tcx: seed 3, 3000 operations, "), "\(command.stderr)")
            try command.expectNothingLeft()
        }

        @Test func aScriptIsRunAgain() throws {
            let command = try Command()
            let script = try write(
                "subject: mprog\ntarget: tcx\nattach A.ingress P1\nlink L1 A.ingress P2 flags BEFORE anchor P1\n"
                    + "detach A.ingress P2 # refused: the link holds it\nremake A\nupdate L1 P3\n", command)
            #expect(try command.run(["explore", "--replay", script, "-k", "6.12"]) == .exited(0), "\(command.stderr)")
            #expect(command.stderr.contains("tcx: 5 of 5 steps taken"), "\(command.stderr)")
        }

        @Test(
            "what cannot be explored is said before anything boots",
            arguments: [
                ("subject: mprog\ntarget: tcx\nfly A.ingress\n", "line 3: unknown operation fly"),
                ("subject: cheese\ntarget: tcx\nclose L1\n", "nothing to explore that is called cheese"),
                ("attach A.ingress P1\n", "begins with `subject:`"),
            ])
        func brokenScripts(_ text: String, _ reason: String) throws {
            let command = try Command()
            #expect(try command.run(["explore", "--replay", try write(text, command), "-k", "6.12"]) == .exited(2))
            #expect(command.stderr.contains(reason), "\(command.stderr)")
        }

        @Test(arguments: [
            (["explore", "cheese"], "nothing to explore that is called cheese"),
            (["explore", "mprog", "--target", "moon"], "mprog has no target moon; it has: tcx"),
            (["explore"], "what is to be explored?"),
            (["explore", "--replay", "/nowhere.script"], "/nowhere.script cannot be read"),
        ])
        func wrongCalls(_ arguments: [String], _ reason: String) throws {
            let command = try Command()
            #expect(try command.run(arguments) == .exited(2))
            #expect(command.stderr.contains(reason), "\(command.stderr)")
        }
    }
}
