// SPDX-License-Identifier: Apache-2.0
import BTF
import Testing

@testable import Harness

@Suite struct SurfaceTests {
    /// With one of each.
    private func kernel() -> MadeKernel {
        var kernel = MadeKernel()
        let (int, pointer) = (kernel.int, kernel.pointer)
        kernel.kfunc("bpf_task_acquire", [("p", pointer)], returns: pointer, flags: 1 | 4 | 128)
        kernel.kfunc("bpf_task_release", [("p", pointer)], returns: 0, flags: 2, hook: 0)
        kernel.kfunc("a_function_to_modify", [("a", int)], returns: int, hook: 2)
        // Kernels mark them like kfuncs, and they are none.
        kernel.types.tag("bpf_kfunc", on: kernel.registered[2].id)
        return kernel
    }

    // MARK: From what the guest says

    @Test func aSurfaceIsMadeOfWhatTheGuestSays() throws {
        let surface = try kernel().surface().surface
        #expect(surface.helpers == [Surface.Named(name: "bpf_map_lookup_elem", value: 1)])
        #expect(surface.programTypes.map(\.name) == ["BPF_PROG_TYPE_XDP", "BPF_PROG_TYPE_SYSCALL"])
        #expect(surface.programTypes.map(\.accepted) == [true, true])
        #expect(
            surface.attachTypes == [
                Surface.Named(name: "BPF_CGROUP_INET_INGRESS", value: 0, accepted: true),
                // EINVAL does not tell: the call does not know the types of links.
                Surface.Named(name: "BPF_XDP", value: 37, accepted: nil),
            ])
        #expect(surface.linkTypes == [Surface.Named(name: "BPF_LINK_TYPE_XDP", value: 6)])
        #expect(
            surface.kfuncs == [
                Surface.Kfunc(
                    name: "bpf_task_acquire", prototype: "struct task_struct *(struct task_struct *p)",
                    signature: "struct task_struct *(struct task_struct *)",
                    flags: ["KF_ACQUIRE", "KF_RET_NULL", "KF_RCU"], hooks: ["xdp"]),
                Surface.Kfunc(
                    name: "bpf_task_release", prototype: "void (struct task_struct *p)",
                    signature: "void (struct task_struct *)", flags: ["KF_RELEASE"], hooks: ["common"]),
            ])
        #expect(surface.notes == [])
    }

    @Test func aKfuncOfSeveralHooksIsOne() throws {
        var kernel = kernel()
        let id = kernel.registered[0].id
        kernel.registered.append((0, id, 2))
        let one = try #require(try kernel.surface().surface.kfuncs.first { $0.name == "bpf_task_acquire" })
        #expect(one.hooks == ["common", "xdp"])
        #expect(one.flags == ["KF_ACQUIRE", "KF_RELEASE", "KF_RET_NULL", "KF_RCU"])
    }

    @Test func whereRegistrationsAreNotKnownTagsTell() throws {
        var kernel = MadeKernel()
        let id = kernel.types.function("bpf_tagged", [], returns: kernel.int)
        kernel.types.tag("bpf_kfunc", on: id)
        kernel.note = "this kernel does not keep them"
        #expect(try kernel.surface().surface.notes == ["programs cannot call kfuncs in this kernel"])
        _ = kernel.types.structure("bpf_kfunc_desc", [])
        let surface = try kernel.surface().surface
        #expect(
            surface.kfuncs == [
                Surface.Kfunc(
                    name: "bpf_tagged", prototype: "int (void)", signature: "int (void)", flags: nil, hooks: nil)
            ])
        #expect(surface.notes.count == 1)
        #expect(surface.notes[0].contains("this kernel does not keep them"))
        #expect(SurfaceText.table(surface).contains("flags: unknown; for: unknown"))
    }

    @Test func endsOfParametersThatTheVerifierReadsAreOfTheSignature() throws {
        var kernel = MadeKernel()
        kernel.kfunc(
            "f", [("buffer__nullable", kernel.pointer), ("length__szk", kernel.int), ("plain", kernel.int)],
            returns: kernel.int)
        let one = try #require(try kernel.surface().surface.kfuncs.first)
        #expect(one.signature == "int (struct task_struct *__nullable, int __szk, int)")
    }

    // MARK: Hostile guests

    @Test(arguments: [
        ("", "cut off"),
        ("surface 2 0\n\nend - 0\n\n", "does not begin with `surface 1`"),
        ("surface 1 0\n\n", "cut off"),
        ("surface 1 0\n\nbtf vmlinux 99999\nabc\n", "longer than the 99999 bytes"),
        ("surface 1 0\n\nbtf vmlinux -1\nabc\n", "begins with"),
        ("surface 1 0\n\nbtf vmlinux 9223372036854775807\nabc\n", "longer than"),
        ("surface 1 0\n\nbtf ../../etc/passwd\u{1b}[2J 3\nabc\n", "begins with"),
        ("surface 1 0\n\nkfuncs vmlinux/0 7\nabcdefg\nend - 0\n\n", "of 7 bytes"),
        ("surface 1 0\n\nkfuncs vmlinux 8\nabcdefgh\nend - 0\n\n", "kfuncs vmlinux of 8"),
        ("surface 1 0\n\nprobe map-types 4\n1 x\n\nend - 0\n\n", "probe map-types"),
        ("surface 1 0\n\nspy - 0\n\nend - 0\n\n", "unknown kind, spy"),
        ("surface 1 0\n\nbtf a 0\n\nbtf a 0\n\nend - 0\n\n", "types of a twice"),
    ])
    func whatMakesNoSenseIsRefused(_ text: String, _ reason: String) {
        let error = #expect(throws: SurfaceError.self) { try SurfaceCapture(Array(text.utf8)) }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("\u{1b}") == false)
    }

    @Test func everyPrefixOfAGoodAnswerIsRefused() throws {
        let bytes = kernel().said()
        _ = try SurfaceCapture(bytes)
        for length in stride(from: 0, to: bytes.count, by: 7) {
            #expect(throws: SurfaceError.self) { try SurfaceCapture(Array(bytes.prefix(length))) }
        }
    }

    @Test func textForTerminalsHoldsNothingThatTheyActOn() {
        let text = GuestParts.printable(Array("a\u{1b}[31mb\u{202e}c\r\u{7}\n".utf8)[...])
        #expect(text == "a\u{fffd}[31mb\u{fffd}c\u{fffd}\u{fffd}\n")
    }

    @Test func tooManyPartsAreRefused() {
        let bytes = Array("surface 1 0\n\n".utf8) + Array(String(repeating: "note a 0\n\n", count: 20_001).utf8)
        #expect(throws: SurfaceError("it has more than 20000 parts")) { try SurfaceCapture(bytes) }
    }

    @Test func typesThatContainThemselvesComeToAnEnd() throws {
        var types = TypeBuilder()
        // 1: a pointer to itself; 2, 3: typedefs of each other.
        types.add(.pointer, "", 1)
        types.add(.typedef, "a", 3)
        types.add(.typedef, "b", 2)
        let prototype = types.add(.prototype, "", 1, vlen: 1, [0, 2])
        let function = types.add(.function, "f", prototype)
        // A structure whose member without a name is itself.
        types.add(.structure, "s", 8, vlen: 1, [0, 6, 0])
        let read = try BTFTypes(types.bytes, base: nil)
        #expect(read.prototype(of: function)?.hasSuffix("(a)") == true)
        #expect(read.shape(of: prototype).hasPrefix("(void)"))
        #expect(read.resolved(2) == 0)
        let kernel = try KernelTypes(
            SurfaceCapture(
                MadeKernel.part("surface", "1", []) + MadeKernel.part("btf", "vmlinux", types.bytes)
                    + MadeKernel.part("end", "-", [])))
        #expect(TypeMatcher(kernel, names: ["s"]).memberNames(of: "s") == [])
    }

    @Test func brokenTypesAreRefused() throws {
        var types = TypeBuilder()
        _ = types.structure("s", [("a", 1)])
        let good = types.bytes
        _ = try BTFTypes(good, base: nil)
        var cut = good
        // More members than there are bytes.
        cut[24 + 4] = 200
        #expect(throws: BTFError.self) { try BTFTypes(cut, base: nil) }
        var unknown = good
        unknown[24 + 7] = 31
        #expect(throws: BTFError.self) { try BTFTypes(unknown, base: nil) }
        for length in 0..<good.count {
            #expect(throws: BTFError.self) { try BTFTypes(Array(good.prefix(length)), base: nil) }
        }
    }

    @Test func idsThatAreNoneAreNothing() throws {
        var kernel = MadeKernel()
        kernel.registered = [(1, 4_000_000_000, 1), (1, kernel.int, 1), (63, 2, 0)]
        #expect(try kernel.surface().surface.kfuncs == [])
    }

    // MARK: JSON

    @Test func whatIsWrittenIsReadAgain() throws {
        var surface = try kernel().surface().surface
        surface.kfuncs[0].flags = nil
        surface.kfuncs[0].hooks = nil
        surface.notes = ["a note"]
        let text = try surface.json()
        #expect(try Surface(json: text) == surface)
        #expect(try Surface(json: text).json() == text)
        #expect(text.contains("\"format\" : \"bpftest-surface\""))
        #expect(text.contains("\"version\" : 1"))
    }

    @Test(arguments: [
        ("{", "not JSON"), ("[]", "no surface"), ("{\"format\":\"other\",\"version\":1}", "it is a other"),
        ("{\"format\":\"bpftest-surface\",\"version\":2}", "version 2; this bpftest reads 1"),
        ("{\"format\":\"bpftest-surface\",\"version\":1}", "is missing"),
    ])
    func otherFilesAreRefused(_ text: String, _ reason: String) {
        let error = #expect(throws: SurfaceError.self) { try Surface(json: text) }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }

    @Test func filesAndKernelsKeepTheirPlaces() throws {
        let sources = SurfaceSources(["6.1", "a.json", "6.12"])
        #expect(sources.kernels == ["6.1", "6.12"])
        #expect(throws: HarnessError.self) {
            try SurfaceSources(["/nowhere.json"]).surfaces([])
        }
    }
}

@Suite struct SurfaceDiffTests {
    private func surface(_ change: (inout Surface) -> Void) -> Surface {
        var surface = Surface(kernel: "made")
        surface.helpers = [Surface.Named(name: "bpf_a", value: 1), Surface.Named(name: "bpf_b", value: 2)]
        surface.mapTypes = [Surface.Named(name: "BPF_MAP_TYPE_HASH", value: 1, accepted: true)]
        surface.kfuncs = [
            Surface.Kfunc(
                name: "bpf_k", prototype: "int (int x)", signature: "int (int)", flags: ["KF_RCU"], hooks: ["tc"])
        ]
        change(&surface)
        return surface
    }

    private func diff(_ change: (inout Surface) -> Void) -> [SurfaceDiff.Change] {
        SurfaceDiff(from: surface { _ in }, to: surface(change)).changes
    }

    @Test func theSameIsNoDifference() {
        #expect(diff { _ in } == [])
        #expect(SurfaceText.table(SurfaceDiff(from: surface { _ in }, to: surface { _ in })).contains("no difference"))
    }

    @Test func namesOfParametersAreNone() {
        #expect(diff { $0.kfuncs[0].prototype = "int (int y)" } == [])
    }

    @Test func aHelperThatIsGoneBreaksTheABI() {
        let changes = diff { $0.helpers.removeLast() }
        #expect(
            changes == [
                SurfaceDiff.Change(
                    area: "helper", name: "bpf_b", kind: .removed, before: "2", after: nil, breaksABI: true)
            ])
        #expect(SurfaceDiff(from: surface { _ in }, to: surface { $0.helpers = [] }).breaksABI)
    }

    @Test func aNumberThatIsAnotherBreaksTheABI() {
        let changes = diff { $0.mapTypes[0].value = 9 }
        #expect(changes.map(\.kind) == [.renumbered])
        #expect(changes.map(\.before) == ["1"])
        #expect(changes.map(\.after) == ["9"])
        #expect(changes.map(\.breaksABI) == [true])
    }

    @Test func aNumberThatGoesOnUnderAnotherNameDoesNot() {
        let changes = diff { $0.mapTypes[0].name = "BPF_MAP_TYPE_HASH_DEPRECATED" }
        #expect(changes.map(\.kind) == [.renamed])
        #expect(changes.map(\.after) == ["BPF_MAP_TYPE_HASH_DEPRECATED 1"])
        #expect(changes.map(\.breaksABI) == [false])
    }

    @Test func aSecondNameForANumberIsAnAddition() {
        let changes = diff { $0.mapTypes.append(Surface.Named(name: "BPF_MAP_TYPE_ALIAS", value: 1)) }
        #expect(changes.map(\.kind) == [.added])
    }

    @Test func anAnswerThatIsAnotherIsToldAndIsNoBreak() {
        let changes = diff { $0.mapTypes[0].accepted = false }
        #expect(changes.map(\.kind) == [.accepted])
        #expect(changes.map(\.breaksABI) == [false])
        #expect(diff { $0.mapTypes[0].accepted = nil } == [])
    }

    @Test func kfuncsChangeWithoutABreak() {
        let changes = diff { surface in
            surface.kfuncs[0].signature = "int (long)"
            surface.kfuncs[0].flags = ["KF_RCU", "KF_SLEEPABLE"]
            surface.kfuncs[0].hooks = ["tc", "xdp"]
            surface.kfuncs[0].module = "nf_nat"
            surface.kfuncs.append(
                Surface.Kfunc(name: "bpf_new", prototype: "void (void)", signature: "void (void)", flags: [], hooks: [])
            )
        }
        #expect(changes.map(\.kind) == [.moved, .signature, .flags, .hooks, .added])
        #expect(changes.allSatisfy { !$0.breaksABI })
        #expect(diff { $0.kfuncs = [] }.map(\.kind) == [.removed])
        #expect(diff { $0.kfuncs = [] }.map(\.breaksABI) == [false])
    }

    @Test func flagsThatAreNotKnownAreNoDifference() {
        #expect(diff { $0.kfuncs[0].flags = nil } == [])
        #expect(diff { $0.kfuncs[0].hooks = nil } == [])
    }

    @Test func aKfuncOfTwoModulesIsComparedModuleByModule() {
        let changes = diff { surface in
            var other = surface.kfuncs[0]
            other.module = "nf_nat"
            surface.kfuncs.append(other)
        }
        #expect(changes.map(\.name) == ["bpf_k [nf_nat]"])
        #expect(changes.map(\.kind) == [.added])
    }

    @Test func aTableSaysWhatBreaks() {
        let text = SurfaceText.table(
            SurfaceDiff(
                from: surface { _ in },
                to: surface {
                    $0.helpers.removeLast()
                    $0.kfuncs[0].flags = []
                }))
        #expect(text.contains("- ! ABI break: bpf_b  2"))
        #expect(text.contains("~ bpf_k: flags\n      KF_RCU\n      none\n"))
        #expect(text.hasSuffix("1 ABI break.\n"))
    }

    @Test func thePageMarksWhatChanged() {
        let old = surface { _ in }
        let new = surface {
            $0.kernel = "newer"
            $0.kfuncs[0].signature = "int (long)"
            $0.kfuncs[0].flags = []
            $0.helpers.removeLast()
            $0.mapTypes[0].accepted = false
        }
        let page = SurfacePage.markdown([old, new])
        #expect(page.contains("| `bpf_k` | + | sf |\n"))
        #expect(page.contains("| 2 | `bpf_b` | a **gone** |\n"))
        #expect(page.contains("| 1 `BPF_MAP_TYPE_HASH` | + | - |\n"))
        #expect(page.contains("| a | b | 0 / 1 | 0 / 0 | 1 / 1 / 0 |\n"))
        #expect(page == SurfacePage.markdown([old, new]))
    }
}
