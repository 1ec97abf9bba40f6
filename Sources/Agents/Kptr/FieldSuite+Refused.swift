// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// tests-bpf/kptr/fields_fail.bpf.c, program by program.
let refusedFieldPrograms: [Case] =
    bothEras.map { $0.asCase(Era.object("fields_fail"), needs: bothNeeds) }
    + today.map { $0.asCase("kptr/fields_fail.bpf.o", needs: todayNeeds) } + kptrGet + [firstMember, imprecise]

private let bothNeeds = [Features.fields, Features.objects]
private let todayNeeds = [Features.tags, Features.tasks]

/// Those that 6.1 refuses as well.
private let bothEras: [Refused] = [
    Refused(
        "P-002", "what bpf_kptr_xchg gives back must be released", "ignore_old", since: "5.19",
        Rejection(.EINVAL, "Unreleased reference", from: .v6_1)),
    Refused(
        "P-004", "a field that is not referenced is not exchanged", "exchange_unreferenced", since: "5.19",
        Rejection(.EACCES, "off=16 kptr isn't referenced kptr", from: .v6_1)),
    Refused(
        "P-004.number", "a number beside the field is no field", "exchange_number", since: "5.19",
        Rejection(.EACCES, "off=0 doesn't point to kptr", from: .v6_1)),
    Refused(
        "P-005", "what is read from a field is not put back: the field owns it", "put_what_was_read", since: "5.19",
        .notReferenced),
    Refused("P-005.twice", "a reference is given away once", "put_twice", since: "5.19", .givenAway),
    Refused(
        "P-006", "a reference goes into a field of its own type alone", "put_other_type", since: "5.19",
        Rejection(
            .EACCES, "invalid kptr access, R2 type=ptr_prog_test_ref_kfunc expected=ptr_prog_test_member", from: .v6_1
        ).then(.v6_12, .EACCES, "task_struct expected=ptr_prog_test_member")),
    Refused(
        "P-008", "nothing is stored to a referenced field", "store_referenced", since: "5.19",
        Rejection(.EACCES, "store to referenced kptr disallowed", from: .v6_1)),
    Refused(
        "P-008.null", "not even NULL is stored to a referenced field", "store_null_referenced", since: "5.19",
        Rejection(.EACCES, "store to referenced kptr disallowed", from: .v6_1)),
    Refused(
        "P-009", "no number is stored to a field", "store_immediate", since: "5.19",
        Rejection(.EACCES, "BPF_ST imm must be 0 when storing to kptr at off=16", from: .v6_1)),
    Refused(
        "P-010", "no register that holds a number is stored to a field", "store_scalar", since: "5.19",
        Rejection(.EACCES, "type=scalar expected=ptr_", from: .v6_1)),
    Refused(
        "P-011.size", "a field is read whole", "read_half", since: "5.19",
        Rejection(.EACCES, "kptr access size must be BPF_DW", from: .v6_1)),
    Refused(
        "P-011.read", "a field is not read from its second byte", "read_inside", since: "5.19",
        Rejection(.EACCES, "kptr access misaligned expected=8 off=9", from: .v6_1)),
    Refused(
        "P-011.write", "what lies before a field is not written together with its first bytes", "write_across",
        since: "5.19", Rejection(.EACCES, "kptr access misaligned expected=8 off=7", from: .v6_1)),
    Refused(
        "P-011.variable", "a field is not read at a variable offset", "read_somewhere", since: "5.19",
        Rejection(.EACCES, "kptr access cannot have variable offset", from: .v6_1)),
    Refused(
        "P-012", "a value with a field is no source for an update", "update_from_value", since: "5.19",
        Rejection(.EACCES, "kptr cannot be accessed indirectly by helper", from: .v6_1)),
    Refused(
        "P-012.write", "a value with a field is not written to by a helper", "fill_by_helper", since: "5.19",
        Rejection(.EACCES, "kptr cannot be accessed indirectly by helper", from: .v6_1)),
    Refused(
        "P-013", "a field is not exchanged at a variable offset", "exchange_somewhere", since: "5.19",
        Rejection(.EACCES, "R1 doesn't have constant offset. kptr has to be", from: .v6_1)
            .then(.v6_12, .EINVAL, "R1 doesn't have constant offset. kptr has to be")),
]

private let today: [Refused] = [
    Refused(
        "P-003", "what goes into a field is tested for NULL before", "put_untested", since: "6.12",
        Rejection(.EACCES, "Possibly NULL pointer passed to helper arg2")
            .then(.v7_2, .EACCES, "Possibly NULL pointer passed to helper R2")),
    Refused(
        "P-014", "what is read from a field is tested for NULL before it is used", "read_untested", since: "6.4",
        Rejection(.EACCES, "invalid mem access 'rcu_ptr_or_null_'")),
    Refused(
        "P-015", "what is read from a field of a type that RCU does not free is not trusted", "load_not_rcu",
        since: "6.4", Rejection(.EACCES, "R1 type=untrusted_ptr_or_null_ expected=percpu_ptr_")),
    Refused(
        "P-015.rcu", "what is read from a field of a type that RCU frees is protected, and may be NULL", "load_rcu",
        since: "6.4", Rejection(.EACCES, "R1 type=rcu_ptr_or_null_ expected=percpu_ptr_")),
    Refused(
        "P-015.unreferenced", "what is read from an unreferenced field is not acquired", "acquire_unreferenced",
        since: "6.4", .notRCU),
    Refused(
        "P-017", "where programs may sleep nothing is acquired from a field outside an RCU section",
        "acquire_without_rcu", since: "6.4", needs: [Features.sections], .notRCU),
    Refused(
        "P-019", "what was read from a field in an RCU section is not acquired after it", "acquire_after_rcu",
        since: "6.4", needs: [Features.sections], .notRCU),
]

/// P-040, and what else KF_KPTR_GET promises, where a kernel has it.
private let kptrGet: [Case] = [
    (".stack", "the address on the stack is no field", "get_from_stack", "arg#0 expected pointer to map value"),
    (".variable", "the field is at a constant offset", "get_somewhere", "arg#0 must have constant offset"),
    (
        ".unreferenced", "the field is a referenced one", "get_unreferenced",
        "arg#0 no referenced kptr at map value offset="
    ),
    (
        ".untested", "what it returns may be NULL", "get_untested",
        "arg#0 pointer type STRUCT prog_test_ref_kfunc must point to scalar, or struct with scalar"
    ),
    (".leak", "what it returns must be released", "get_leak", "Unreleased reference"),
].map { part, title, program, message in
    Case("P-040\(part)", "KF_KPTR_GET: \(title)", spec: ["P-040"], since: "5.19", needs: bothNeeds) { test in
        guard Era.isOld else { throw test.skip("there is no KF_KPTR_GET from 6.4 on") }
        test.expect(
            "kptr/fields_fail_old.bpf.o", program: program, refused: Rejection(.EINVAL, message, from: .v6_1))
    }
}

/// P-007: with local objects where there are, with a type for tests before.
private let firstMember = Case(
    "P-007", "an object does not go into a field for the struct that it begins with", since: "5.19", needs: bothNeeds
) { test in
    if Era.isOld {
        test.expect(
            "kptr/fields_fail_old.bpf.o", program: "put_member",
            refused: Rejection(.EACCES, "invalid kptr access, R2 type=ptr_prog_test_ref_kfunc", from: .v6_1))
    } else {
        test.expect(
            "kptr/stash_fail.bpf.o", program: "put_first_member",
            refused: Rejection(.EACCES, "invalid kptr access, R2 type=ptr_kept_longer expected=ptr_kept_beginning"))
    }
}

private let imprecise = Case(
    "P-010.imprecise", "a store that is right for 0 alone is not taken for right with any number", spec: ["P-010"],
    since: "5.19", needs: bothNeeds
) { test in
    let object = Era.object("fields_fail")
    // Fixed in 7.2 or 7.3, and in Debian's 6.12: others are known to let it pass (seen on 6.18.44).
    if KernelRelease.running != .v6_12, KernelRelease.running < .v7_3,
        (try? BPFObject(object, programs: ["store_imprecise_scalar"])) != nil
    {
        throw test.skip("this kernel lets it pass, as all do before 7.3 that have not got the fix")
    }
    test.expect(
        object, program: "store_imprecise_scalar",
        refused: Rejection(.EACCES, "type=scalar expected=ptr_", from: .v6_1))
}

extension Rejection {
    fileprivate static let notReferenced = Rejection(.EACCES, "R2 type=untrusted_ptr_ expected=ptr_", from: .v6_1)
        .then(.v6_12, .EINVAL, "R2 must be referenced")
        .then(.v7_2, .EINVAL, "release helper bpf_kptr_xchg expects referenced PTR_TO_BTF_ID passed to R2")
    fileprivate static let givenAway = Rejection(.EACCES, "R2 type=scalar expected=ptr_", from: .v6_1)
}
