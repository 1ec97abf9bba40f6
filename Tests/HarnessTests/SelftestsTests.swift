// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import Harness

@Suite struct TestNamesTests {
    @Test func listsAreReadAsTheKernelsCIDoes() throws {
        var names = TestNames()
        names.add(list: "# TEMPORARY\nvarlen\n  bpf_cookie/multi_* \t # why\n\nexceptions\t\t# JIT\n#x\n")
        #expect(names.names.map(\.text) == ["varlen", "bpf_cookie/multi_*", "exceptions"])
        #expect(names.hasAll(of: "varlen") && !names.hasAll(of: "bpf_cookie") && names.hasSome(of: "bpf_cookie"))
        #expect(!names.hasSome(of: "varlen2"))
        #expect(names.subtests(of: "bpf_cookie") == ["multi_*"])
        let error = #expect(throws: HarnessError.self) { try names.add("@/nowhere/list") }
        #expect("\(error.map { "\($0)" } ?? "")".contains("/nowhere/list"))
    }

    @Test func onlyAStarStandsForAnything() {
        #expect(TestNames.matches("tc_*", "tc_opts") && TestNames.matches("*", ""))
        #expect(TestNames.matches("a*b*c", "aXbYbZc"))
        #expect(!TestNames.matches("tc_?pts", "tc_opts") && !TestNames.matches("tc", "tc_opts"))
        #expect(TestNames.matches("*links*", "tc_links_basic") && !TestNames.matches("a*b", "aXbY"))
    }

    /// -t is found anywhere in a name, -a is the whole name, as in test_progs.
    @Test func choicesBecomeOptions() throws {
        var choice = TestChoice()
        #expect(choice.options(for: "align") == ["-a", "align"])
        try choice.wanted.add("tc_opts/basic,tc_*/dev_cleanup,align")
        try choice.wanted.add("map", anywhere: true)
        try choice.unwanted.add("map_kptr,htab_map/slow*")
        #expect(choice.options(for: "tc_opts") == ["-a", "tc_opts/basic", "-a", "tc_opts/dev_cleanup"])
        #expect(choice.options(for: "tc_links") == ["-a", "tc_links/dev_cleanup"])
        #expect(choice.options(for: "alignment") == nil && choice.options(for: "map_kptr") == nil)
        #expect(choice.options(for: "htab_map") == ["-a", "htab_map", "-d", "htab_map/slow*"])
    }

    @Test func testsAreThoseOfTheHeader() {
        #expect(Selftests.parse("/* x */\nDEFINE_TEST(align)\nDEFINE_TEST(tc_opts)\n") == ["align", "tc_opts"])
    }

    /// A kernel may be the tree itself, or the O= folder that it was built in.
    @Test func theTestsAreThoseOfTheKernelsTree() throws {
        let cache = try ScratchCache()
        let root = cache.folders.cache
        let inTree = "linux/tools/testing/selftests/bpf"
        try cache.write("\(inTree)/prog_tests/tests.h", Data("DEFINE_TEST(align)\n".utf8))
        try cache.write("build/.config", Data())
        try FileManager.default.createSymbolicLink(
            atPath: root.appending("build/source").string, withDestinationPath: root.appending("linux").string)
        let build = root.appending("build").string
        let error = #expect(throws: HarnessError.self) { try Selftests(named: nil, kernels: ["6.12", build]) }
        #expect(
            "\(error, default: "none")".hasSuffix("test_progs KDIR=\(build) VMLINUX_BTF=\(build)/vmlinux"))
        let program = try cache.write("\(inTree)/test_progs", Data()).string
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
        for kernel in [build, root.appending("linux").string] {
            let selftests = try Selftests(named: nil, kernels: ["6.12", kernel])
            #expect(selftests.tests == ["align"])
            #expect(selftests.folder.string.hasPrefix(kernel))
        }
    }

    @Test func aFolderWithoutTestsSaysWhatToDo() throws {
        let folder = NSTemporaryDirectory() + "/bpftest-selftests-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder + "/prog_tests", withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func problem() -> String {
            do {
                _ = try Selftests(named: folder, kernels: [])
                return ""
            } catch {
                return "\(error)"
            }
        }
        #expect(problem().contains("there is no test_progs in /"))
        try Data().write(to: URL(fileURLWithPath: folder + "/test_progs"))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder + "/test_progs")
        #expect(problem().contains("tests.h, which lists the tests, cannot be read"))
        try Data("DEFINE_TEST(align)\nDEFINE_TEST(varlen)\n".utf8).write(
            to: URL(fileURLWithPath: folder + "/prog_tests/tests.h"))
        try Data("varlen # x\n".utf8).write(to: URL(fileURLWithPath: folder + "/DENYLIST"))
        try Data("align/slow\n".utf8).write(to: URL(fileURLWithPath: folder + "/DENYLIST.x86_64"))
        let selftests = try Selftests(named: folder, kernels: [])
        #expect(selftests.tests == ["align", "varlen"] && selftests.remarks.count == 2)
        #expect(selftests.lists.options(for: "varlen") == nil)
        #expect(selftests.lists.options(for: "align") == ["-a", "align", "-d", "align/slow"])
        #expect(throws: HarnessError.self) { try Selftests(named: nil, kernels: ["6.12"]) }
    }
}
