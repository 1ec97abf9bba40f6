// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import SystemPackage
import Testing

extension MachineTests {
    /// `bpftest surface`, from a booted kernel to what is said of it.
    @Suite(.serialized)
    struct Surfaces {
        private func surface(_ text: String) throws -> [String: Any] {
            try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        }

        @Test func aKernelSaysWhatItOffers() throws {
            let command = try Command()
            #expect(try command.run(["surface", "6.12", "--format", "json"]) == .exited(0), "\(command.stderr)")
            let found = try surface(command.stdout)
            let helpers = try #require(found["helpers"] as? [[String: Any]])
            // include/uapi/linux/bpf.h of 6.12: 211 helpers, the last of them bpf_cgrp_storage_delete.
            #expect(helpers.count == 211)
            #expect(helpers.last?["name"] as? String == "bpf_cgrp_storage_delete")
            #expect(helpers.last?["value"] as? Int == 211)
            let kfuncs = try #require(found["kfuncs"] as? [[String: Any]])
            let acquire = try #require(kfuncs.first { $0["name"] as? String == "bpf_task_acquire" })
            // kernel/bpf/helpers.c of 6.12.
            #expect(acquire["flags"] as? [String] == ["KF_ACQUIRE", "KF_RET_NULL", "KF_RCU"])
            #expect(acquire["prototype"] as? String == "struct task_struct *(struct task_struct *p)")
            #expect((acquire["hooks"] as? [String])?.contains("syscall") == true)
            // In a module that the guest image brings.
            let nat = try #require(kfuncs.first { $0["name"] as? String == "bpf_ct_set_nat_info" })
            #expect(nat["module"] as? String == "nf_nat")
            #expect(found["notes"] as? [String] == [])
            // The cache answers the same, and so does a file.
            let again = try Command()
            #expect(try again.run(["surface", "6.12", "--format", "json"]) == .exited(0))
            #expect(again.stdout == command.stdout)
            let file = command.folder + "/6.12.json"
            try Data(command.stdout.utf8).write(to: URL(fileURLWithPath: file))
            #expect(try again.run(["surface", "-k", file, "--diff", "6.12", "--fail-on-break"]) == .exited(0))
            #expect(again.stdout.contains("no difference"))
            try FileManager.default.removeItem(atPath: file)
            try command.expectNothingLeft()
        }

        @Test func anObjectIsHeldAgainstAKernel() throws {
            let command = try Command()
            var folder = FilePath(Command.build)
            while folder.lastComponent?.string != ".build", folder.removeLastComponent() {}
            let objects = folder.appending("test-objects").string
            let end = try command.run([
                "surface", "-k", "6.12", "--format", "json", "--check", objects + "/needs.bpf.o",
                objects + "/needs-kfunc.bpf.o",
            ])
            #expect(end == .exited(1), "\(command.stderr)")
            let report = try surface(command.stdout)
            let checked = try #require(report["objects"] as? [[String: Any]])
            let programs = checked.flatMap { $0["programs"] as? [[String: Any]] ?? [] }
            var found: [String: [String: Any]] = [:]
            for program in programs {
                found[program["name"] as? String ?? ""] = (program["cells"] as? [[String: Any]])?.first
            }
            func lacks(_ name: String) -> [String] {
                (found[name]?["lacks"] as? [[String: Any]] ?? []).map { "\($0["area"] ?? "") \($0["name"] ?? "")" }
            }
            func outcome(_ name: String) -> String? {
                (found[name]?["answer"] as? [String: Any])?["outcome"] as? String
            }
            #expect(outcome("loads") == "loaded" && lacks("loads") == [])
            #expect(outcome("does_without") == "loaded" && lacks("does_without") == [])
            #expect(outcome("lacks_kfunc") == "refused" && lacks("lacks_kfunc") == ["kfunc bpf_nowhere_to_be_found"])
            #expect(outcome("lacks_helper") == "refused" && lacks("lacks_helper") == ["helper number 9999"])
            #expect(
                outcome("lacks_field") == "refused"
                    && lacks("lacks_field") == ["CO-RE field struct task_struct.nowhere_to_be_found"])
            #expect(
                outcome("lacks_target") == "refused"
                    && lacks("lacks_target") == ["attach target nowhere_to_be_found"])
            #expect(found.values.allSatisfy { $0["agrees"] as? Bool == true }, "\(command.stdout)")
            try command.expectNothingLeft()
        }

        @Test(arguments: [
            (["surface"], "of which kernel?"),
            (["surface", "6.1", "6.12"], "several kernels are a page"),
            (["surface", "6.1", "--fail-on-break"], "goes with --diff"),
            (["surface", "/nowhere.json"], "/nowhere.json cannot be read"),
            (["surface", "a.json", "--check", "x.o"], "wants kernels"),
            (["surface", "6.1", "--diff", "6.12", "--check", "x.o"], "two questions"),
            (["surface", "6.1", "--check", "/nowhere.bpf.o"], "/nowhere.bpf.o does not exist"),
            (["surface", "6.1", "--config", "x.toml", "--check", "x.o"], "where no kernel is named"),
            (["surface", "--config", "/nowhere.toml", "--format", "markdown"], "/nowhere.toml cannot be read"),
        ])
        func wrongCalls(_ arguments: [String], _ reason: String) throws {
            let command = try Command()
            #expect(try command.run(arguments) == .exited(2))
            #expect(command.stderr.contains(reason), "\(command.stderr)")
        }
    }
}
