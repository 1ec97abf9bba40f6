// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let needs = [Features.tags, Features.tasks]

/// P-035 to P-038 and P-072 of docs/semantics/kptr.md: two processors at the same field, list or map. One goes round
/// and round until the other has done a number of rounds; nothing may be lost or gained.
public let raceSuite = Suite(
    "kptr.race", "two processors at the same references", cpus: 2,
    objects: ["kptr/race.bpf.o", "kptr/inner.bpf.o", "kptr/lists.bpf.o", "kptr/count.bpf.o"]
) {
    Case(
        "P-035", "a reference is acquired from a field while another processor exchanges it", since: "6.4", needs: needs
    ) { test in
        let references = try References(test)
        let programs = try Programs("kptr/race.bpf.o", ["in_and_out_array", "acquire_many", "take"])
        try race(test, until: { try programs.long("acquired") + programs.long("missed") > 0 }) {
            try programs.run("acquire_many")
        } rounds: { _ in
            _ = try programs.run("in_and_out_array")
        }
        test.log("acquired \(try programs.long("acquired")), missed \(try programs.long("missed"))")
        test.expect(try programs.long("exchanged") > 0, "references went in and out")
        test.expect(
            try programs.long("acquired") + programs.long("missed") > 0, "the other processor has tried to acquire")
        test.expect(try programs.long("wrong"), equals: 0, "objects acquired that are not the one put in")
        try references.expect(0, "after the race")
        programs.close()
    }
    for map in ["hash", "hash_prealloc"] {
        Case(
            "P-036.\(map)", "elements of a \(map) are replaced and deleted while a program exchanges what they hold",
            spec: ["P-036"], since: "6.4", needs: needs
        ) { test in
            let references = try References(test)
            let programs = try Programs("kptr/race.bpf.o", ["in_and_out_\(map)"])
            let opened = try programs.map(map)
            let (key, value) = (Int32(0).bytes, [UInt8](repeating: 0x41, count: 16))
            try race(test, until: { try programs.long("exchanged") > 0 }) {
                try programs.run("in_and_out_\(map)")
            } rounds: { round in
                test.expect(opened.update(key, to: value), nil, "the element is made or replaced")
                if round % 2 == 0 { test.expect(opened.delete(key), nil, "the element is deleted") }
            }
            test.expect(try programs.long("exchanged") > 0, "references went in and out")
            programs.close()
            try references.expectAtLast(0, "after the map is gone")
        }
    }
    Case(
        "P-036.array", "array elements are overwritten while a program exchanges what they hold", spec: ["P-036"],
        since: "6.4", needs: needs
    ) { test in
        let references = try References(test)
        let programs = try Programs("kptr/race.bpf.o", ["in_and_out_array"])
        let opened = try programs.map("array")
        let value = [UInt8](repeating: 0x41, count: 16)
        try race(test, until: { try programs.long("exchanged") > 0 }) {
            try programs.run("in_and_out_array")
        } rounds: { _ in
            test.expect(opened.update(Int32(0).bytes, to: value), nil, "the element is overwritten")
        }
        test.expect(try programs.long("exchanged") > 0, "references went in and out")
        try references.expect(0, "after the race: the program takes out what it puts in")
        programs.close()
    }
    Case(
        "P-037", "a map is freed while a program on another processor exchanges what it holds", since: "6.4",
        needs: needs
    ) { test in
        let references = try References(test)
        let programs = try Programs("kptr/inner.bpf.o", ["put_and_take_many"])
        let outer = try programs.map("outer")
        var types = ValueTypes()
        let value = types.value(Era.referenced, Era.type)
        func replace() throws {
            let map = try types.create(.array, value: value, size: 16, entries: 1).get()
            test.expect(outer.update(Int32(0).bytes, to: map.raw.bytes), nil, "the map takes the place of another")
            map.close()
        }
        // The first map stays until the end, and with it what a run that is overtaken by its replacement has left there.
        try replace()
        try race(test, count: 200, until: { try programs.long("rounds") > 0 }) {
            try programs.run("put_and_take_many")
        } rounds: { _ in
            try replace()
        }
        test.expect(try programs.long("rounds") > 0, "references went in and out")
        test.expect(outer.delete(Int32(0).bytes), nil, "the last map is taken out")
        try references.expectAtLast(0, "after all maps but the first are gone")
        programs.close()
        try references.expectAtLast(0, "after all maps are gone")
    }
    Case("P-038", "of two processors that exchange one field each releases what it gets", since: "6.4", needs: needs) {
        test in
        let references = try References(test)
        let programs = try Programs("kptr/race.bpf.o", ["replace_array", "take"])
        try race(test) {
            try programs.run("replace_array")
        } rounds: { _ in
            _ = try programs.run("replace_array")
        }
        try references.expect(1, "the last one that was put in")
        test.expect(try programs.long("wrong"), equals: 0, "objects that came out and had not been put in")
        test.expect(try programs.run("take"), equals: 1, "1: taken out")
        try references.expect(0, "at the end")
        programs.close()
    }
    for (program, take, what) in [
        ("push_and_pop_many", "list_pop_front", "list"), ("insert_and_remove_many", "tree_remove_first", "tree"),
    ] {
        Case(
            "P-072.\(what)", "a \(what) that two processors put into and take from loses nothing", spec: ["P-072"],
            since: "6.12", needs: localNeeds
        ) { test in
            let objects = try Objects(test, [program, take])
            // Keys are counted up to 8192.
            let most: UInt64 = 8000
            let worker = try Worker { stop in
                try pin(to: 1)
                while try !stop.isSet && objects.programs.long("key_wanted") < most {
                    _ = try objects.programs.run(program)
                }
                return "done"
            }
            try pin(to: 0)
            while try objects.programs.long("key_wanted") < most {
                test.expect(try objects.programs.run(program), equals: 64, "objects made in one run")
                if test.failed { break }
            }
            test.expect(try worker.finish(), equals: "done", "what the other processor has to say")
            let made = try objects.programs.long("key_wanted")
            let counted = try objects.programs.object.bytes(of: "seen")
            var seen = (0..<8192).map { UInt64(counted, at: 8 * $0) }
            let remaining = seen.prefix(Int(made)).filter { $0 == 0 }.count
            try objects.references.expect(Int32(remaining), "one for each object that has not come out")
            while let key = try objects.take(take) {
                guard key < 8192 else { throw test.abort("a key that was not put in: \(key)") }
                seen[Int(key)] += 1
            }
            let expected = (0..<8192).map { UInt64($0 < made ? 1 : 0) }
            test.expect(
                seen.indices.first { seen[$0] != expected[$0] }, equals: nil,
                "the first key that did not come out exactly once")
            try objects.references.expect(0, "after all have come out")
            objects.programs.close()
        }
    }
}

/// Runs `other` again and again on the second processor while `rounds` goes on on the first.
///
/// - Parameters:
///   - count: of rounds; they begin when the other processor has come to its work.
///   - met: whether the two have been at the same thing at all. On a host that is busy one of them may stand still for
///     long: there are up to a hundred times as many rounds until they have.
private func race(
    _ test: Test, count: Int = 300, until met: () throws -> Bool = { true }, _ other: () throws -> UInt32,
    rounds: (Int) throws -> Void
) throws {
    let worker = try Worker { stop in
        try pin(to: 1)
        var runs = 0
        while !stop.isSet {
            _ = try other()
            runs += 1
            if runs == 1 { stop.works() }
        }
        return "\(runs)"
    }
    do {
        try pin(to: 0)
        try worker.waitUntilItWorks()
        var round = 0
        while !test.failed, try round < count || (round < 100 * count && !met()) {
            try rounds(round)
            round += 1
        }
    } catch {
        worker.kill()
        throw error
    }
    let runs = try worker.finish()
    test.log("runs on the other processor: \(runs)")
    try test.require(Int(runs) ?? 0 > 0, "the other processor has run: \(runs)")
}
