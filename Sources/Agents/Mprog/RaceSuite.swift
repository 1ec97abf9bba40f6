// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// M-068 and M-166 to M-168: two processors at one list. All are bounded by rounds, and go on until both sides have done
/// something while the other was at it.
let raceSuite = Suite(
    "mprog.race", "two processors at one list of programs", isolation: .network, cpus: 2,
    prepare: { try Programs.load() }
) {
    ListTables.races.cases(Flavour.tcx)
}

/// The same for the list of a cgroup.
let cgroupRaceSuite = Suite(
    "mprog.cgroup_race", "two processors at the list of a cgroup", cpus: 2, prepare: { try CgroupPrograms.load() }
) {
    Case(
        "M-214.race", "a link is updated while its cgroup's programs run: each socket meets the old or the new one",
        spec: ["M-214"], since: "5.10", needs: [.cgroup2, .cgroupPrograms]
    ) { test in
        let list = try CgroupList(test)
        try list.set(up: [.c(1), .l(2), .c(3)])
        try list.expect(list: [.c(1), .l(2), .c(3)])
        let link = try list.link(of: 2)
        let programs = list.programs
        try race(
            test,
            change: { round in link.update(to: programs.fd(round % 2 == 0 ? 4 : 2)) },
            look: {
                let (ran, errno) = programs.makeSocket()
                test.expect(errno, nil, "a socket is made")
                return ran
            }, legal: [[1, 2, 3], [1, 4, 3]])
    }
    Case(
        "M-187.race", "a program is replaced while its cgroup's programs run: each socket meets the old or the new one",
        spec: ["M-187"], since: "5.10", needs: [.cgroup2, .cgroupPrograms]
    ) { test in
        let list = try CgroupList(test)
        try list.set(up: [.c(1), .c(2), .c(3)])
        try list.expect(list: [.c(1), .c(2), .c(3)])
        let programs = list.programs
        try race(
            test,
            change: { round in
                let (old, new) = round % 2 == 0 ? (2, 4) : (4, 2)
                return list.target.attach(programs.fd(new), [.allowMulti, .replace], replace: programs.fd(old))
            },
            look: {
                let (ran, errno) = programs.makeSocket()
                test.expect(errno, nil, "a socket is made")
                return ran
            }, legal: [[1, 2, 3], [1, 4, 3]])
    }
}

extension ListTables {
    static let races: [Row] = [
        Row("M-068", "REPLACE while packets come: each meets the old or the new program, and its neighbours", raced) {
            list in
            let programs = list.programs
            try race(
                list.test,
                change: { round in
                    let (old, new) = round % 2 == 0 ? (2, 4) : (4, 2)
                    return list.target.attach(programs.fd(new), .replace, replace: programs.fd(old))
                },
                look: { try list.packet() }, legal: [[1, 2, 3], [1, 4, 3]])
        },
        Row(
            "M-068.link", "a link is updated while packets come: each meets the old or the new program",
            [.p(1), .l(2), .p(3)]
        ) {
            list in
            let link = try list.madeLink(2)
            let programs = list.programs
            try race(
                list.test, change: { round in link.update(to: programs.fd(round % 2 == 0 ? 4 : 2)) },
                look: { try list.packet() }, legal: [[1, 2, 3], [1, 4, 3]])
        },
        Row("M-168", "a list's only program is replaced while packets come: none is lost, none passes unseen", [.p(1)])
        { list in
            let programs = list.programs
            try race(
                list.test,
                change: { round in
                    let (old, new) = round % 2 == 0 ? (1, 2) : (2, 1)
                    return list.target.attach(programs.fd(new), .replace, replace: programs.fd(old))
                },
                look: { try list.packet() }, legal: [[1], [2]])
        },
        Row(
            "M-166.traffic", "programs come and go while packets come: each meets a list that there was",
            [.p(1), .p(3)]
        ) { list in
            let programs = list.programs
            try race(
                list.test,
                change: { round in
                    round % 2 == 0
                        ? list.target.attach(programs.fd(2), .before, relative: UInt32(bitPattern: programs.fd(3)))
                        : list.target.detach(programs.fd(2))
                },
                look: { try list.packet() }, legal: [[1, 3], [1, 2, 3]])
        },
        Row("M-166", "two processes attach and detach one program: the revision counts what succeeded", [.p(9)]) {
            list in
            let (target, fd) = (list.target, list.programs.fd(1))
            let workers = try [0, 1].map { cpu in
                try Worker { stop in
                    try pin(cpu)
                    var (rounds, successes) = (0, 0)
                    while rounds < 30 || (!stop.isSet && rounds < 3000) {
                        for (answer, allowed) in [(target.attach(fd), Errno.EEXIST), (target.detach(fd), .ENOENT)] {
                            if let answer, answer != allowed { return "round \(rounds): \(answer.name)" }
                            if answer == nil { successes += 1 }
                        }
                        rounds += 1
                    }
                    return "\(successes)"
                }
            }
            list.test.atEnd { for worker in workers { worker.kill() } }
            let legal = [[9], [9, 1]].map { $0.map { list.programs.id($0) } }
            var last: UInt64 = 0
            var seen: Set<[UInt32]> = []
            var queries = 0
            while queries < 200 || (seen.count < 2 && queries < 20_000) {
                let contents = try list.contents()
                try list.test.require(legal.contains(contents.programs), "query \(queries): \(contents.programs)")
                try list.test.require(contents.revision >= last, "revision \(contents.revision) after \(last)")
                last = contents.revision
                seen.insert(contents.programs)
                queries += 1
            }
            list.test.expect(seen.count, equals: 2, "kinds of lists seen")
            var successes: UInt64 = 0
            for worker in workers {
                let said = try worker.finish()
                guard let count = UInt64(said) else { throw list.test.abort("a process said: \(said)") }
                list.test.expect(count > 0, "each process has succeeded with something")
                successes += count
            }
            // Each has detached what it found attached: nothing is left of the program.
            try list.expect(list: [.p(9)], revision: 2 + successes)
        },
        Row("M-167", "of two that expect one revision one succeeds: each revision is used once", [.p(9)]) { list in
            let target = list.target
            let turns = 25
            let workers = try [0, 1].map { cpu in
                let fd = list.programs.fd(cpu + 1)
                return try Worker { _ in
                    try pin(cpu)
                    var used: [UInt64] = []
                    while used.count < 2 * turns {
                        let revision = try target.query(room: 4).get().revision
                        let answer =
                            used.count % 2 == 0
                            ? target.attach(fd, revision: revision) : target.detach(fd, revision: revision)
                        switch answer {
                        case nil: used.append(revision)
                        case .ESTALE: continue
                        case .some(let errno): return "after \(used.count): \(errno.name)"
                        }
                    }
                    return used.map { "\($0)" }.joined(separator: " ")
                }
            }
            list.test.atEnd { for worker in workers { worker.kill() } }
            var used: [UInt64] = []
            for worker in workers {
                let said = try worker.finish()
                let numbers = said.split(separator: " ").compactMap { UInt64($0) }
                try list.test.require(numbers.count == 2 * turns, "a process said: \(said)")
                list.test.expect(numbers, equals: numbers.sorted(), "revisions that one process has used")
                used += numbers
            }
            let first: UInt64 = 2
            list.test.expect(
                used.sorted(), equals: Array(first..<(first + 4 * UInt64(turns))), "revisions that both have used")
            try list.expect(list: [.p(9)], revision: first + 4 * UInt64(turns))
        },
    ]

    private static let raced: [Slot] = [.p(1), .p(2), .p(3)]
}

extension ListTest {
    /// Which programs one packet runs; it must arrive.
    func packet() throws -> [Int] {
        programs.forget()
        try test.require(try exchange(), "a packet arrives")
        return programs.trace
    }
}

private func pin(_ processor: Int) throws(Errno) {
    if let errno = Processors.pin(to: processor) { throw errno }
}

/// One process changes a list, this one looks at what runs, each on a processor of its own.
///
/// - Parameters:
///   - change: must succeed, whatever the round.
///   - look: what runs, in order.
///   - legal: what runs before the first change and after every second one; and what runs between. Both, and nothing
///     else, must be seen.
private func race(
    _ test: Test, change: (Int) -> Errno?, look: () throws -> [Int], legal: [[Int]]
) throws {
    let changes = 60
    let worker = try Worker { stop in
        try pin(1)
        var round = 0
        // An even number, so that all is as before.
        while round < changes || round % 2 == 1 || (!stop.isSet && round < 10_000 * changes) {
            if let errno = change(round) { return "change \(round): \(errno.name)" }
            round += 1
            if round == 2 { stop.works() }
        }
        return "done"
    }
    test.atEnd { worker.kill() }
    try pin(0)
    // A busy host may let one processor of the guest wait for long.
    try worker.waitUntilItWorks()
    var seen: Set<[Int]> = []
    var looks = 0
    while looks < 300 || (seen.count < legal.count && looks < 200_000) {
        let ran = try look()
        try test.require(legal.contains(ran), "look \(looks): \(ran) has run, of \(legal)")
        seen.insert(ran)
        looks += 1
    }
    test.expect(try worker.finish(), equals: "done", "what became of the changes")
    test.expect(seen, equals: Set(legal), "what has run")
    test.expect(try look(), equals: legal[0], "what runs at the end")
}
