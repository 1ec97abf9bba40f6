// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// Has a program run when the calling process is switched away from: one on the tracepoint sched_switch, or one of type
/// perf_event. It counts its `runs`.
func runOnSwitch(_ test: Test, _ object: BPFObject, _ program: String) throws {
    if program.hasSuffix("perf_event") {
        let event = try SoftwareEvent(.contextSwitches)
        let link = try event.createLink(try object.program(program)).get()
        try switchAway(until: object)
        link.close()
    } else {
        try object.set("pid_wanted", to: getpid())
        let attached = try object.attach(program)
        try switchAway(until: object)
        attached.detach()
    }
    // The counters are not read before nobody counts any more.
    GracePeriods.pass()
    test.expect(
        try object.value(of: "runs", as: Int32.self) > 0, "the program ran when this process was switched away from")
}

/// Waits for children, each a switch away from the calling process, until the program has run.
///
/// The kernel throttles events that come faster than it likes, until its next tick, and passes over a program on a
/// tracepoint while another is under way on the processor.
private func switchAway(until object: BPFObject) throws {
    for _ in 0..<50 where try object.value(of: "runs", as: Int32.self) == 0 {
        let child = try Worker { _ in "" }
        _ = try child.finish()
    }
}

/// A program of type raw_tracepoint that calls a kernel function: refused up to 6.12, let in from 7.2 on.
func rawTracepointCase(
    _ id: String, _ objects: String, _ file: String, _ program: String, _ function: String, _ needs: [Feature]
) -> Case {
    Case(
        id, "raw tracepoint programs: no \(objects) in 6.12, from 7.2 on they are let in", spec: ["K-051"],
        since: "6.12", needs: needs
    ) { test in
        let release = KernelRelease.running
        if release >= .v7_2 {
            let object = try BPFObject(file, programs: [program])
            // Nothing but the program: the kernel takes no packet for this type, not even an empty one.
            var attr = Attr(size: 80)
            attr.set(try object.program(program), at: 0)
            test.expect(attr.call(.progTestRun).errno, nil, "the program runs")
            test.expect(attr.get(at: 4), equals: UInt32(0), "what it returned")
        } else if release <= KernelRelease(6, 12) {
            test.expect(file, program: program, refused: .notAllowed(function))
        } else if (try? BPFObject(file, programs: [program])) == nil {
            // Which of 6.13 to 7.1 let them in is not known: what is not let in is refused in the old words.
            test.expect(file, program: program, refused: .notAllowed(function))
        }
    }
}
