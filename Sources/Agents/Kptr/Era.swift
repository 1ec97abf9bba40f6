// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// Type tags changed their meaning in 6.4: what was `kptr_ref` is `kptr`, what was `kptr` is `kptr_untrusted`
/// (docs/semantics/kptr.md, 1). Programs for both sides are built twice; see tests-bpf/kptr/kptr.h.
enum Era {
    static let isOld = KernelRelease.running < KernelRelease(6, 4)

    /// The object of a source that is built for both eras.
    static func object(_ name: String) -> String {
        "kptr/\(name)\(isOld ? "_old" : "").bpf.o"
    }

    /// The tag of a field that owns what it points to.
    static let referenced = isOld ? "kptr_ref" : "kptr"
    static let unreferenced = isOld ? "kptr" : "kptr_untrusted"
    /// A type of the kernel whose references may be kept. Up to 6.3 these are those for tests alone.
    static let type = isOld ? "prog_test_ref_kfunc" : "task_struct"
    /// What is left of an update or a deletion: nobody knows of the releases between those that were read.
    enum Leaving {
        /// References are released with the element.
        case released
        /// They stay in the memory of the element until that is freed, or the map.
        case kept
        case unknown
    }
    static let leaving: Leaving =
        KernelRelease.running <= KernelRelease(6, 18) ? .released : KernelRelease.running >= .v7_2 ? .kept : .unknown
}

enum Features {
    /// Fields with references in either era's tags (5.19).
    static let fields = Feature("kptr", since: "5.19", config: ["CONFIG_DEBUG_INFO_BTF"]) {
        probe(Era.referenced)
    }
    /// Fields in today's tags (6.4).
    static let tags = Feature("kptr-tags-of-6.4", since: "6.4", config: ["CONFIG_DEBUG_INFO_BTF"]) {
        probe("kptr_untrusted")
    }
    /// Objects whose references programs of either era can have and keep.
    static let objects = Feature("objects to keep", since: "5.19") {
        do throws(LoadError) {
            _ = try BPFObject(Era.object("count"), programs: ["count"])
            return .present
        } catch {
            return .absent(evidence: "\(error.errno.name): \(error.log.isEmpty ? error.messages : error.log)")
        }
    }
    static let tasks = Feature.kfunc("bpf_task_from_pid", since: "6.2")
    static let cgroups = Feature.kfunc("bpf_cgroup_from_id", since: "6.2", config: ["CONFIG_CGROUPS"])
    static let cpumasks = Feature.kfunc("bpf_cpumask_create", since: "6.3")
    static let sections = Feature.kfunc("bpf_rcu_read_lock", since: "6.2")
    static let localObjects = Feature.kfunc("bpf_obj_new_impl", since: "6.2")
    static let lists = Feature.kfunc("bpf_list_push_front_impl", since: "6.4")
    static let trees = Feature.kfunc("bpf_rbtree_add_impl", since: "6.4")
    static let shares = Feature.kfunc("bpf_refcount_acquire_impl", since: "6.4")
    static let percpuObjects = Feature.kfunc("bpf_percpu_obj_new_impl", since: "6.7")
    static let listDel = Feature.kfunc("bpf_list_del", since: "7.2")
    /// bpf_kptr_xchg with a field of a local object (6.12).
    static let fieldsOfObjects = Feature("kptr fields of local objects", since: "6.12") {
        do throws(LoadError) {
            _ = try BPFObject("kptr/lists.bpf.o", programs: ["new_and_drop"])
            return .present
        } catch {
            return .absent(evidence: "\(error.errno.name): \(error.log.suffix(300))")
        }
    }
    /// Arrays of fields, and fields of structs in the value (6.11).
    static let arrays = Feature("arrays of kptrs", since: "6.11") {
        var types = ValueTypes()
        let pointer = types.field(Era.referenced, Era.type)
        let four = types.builder.array(of: pointer, count: 4, index: types.int)
        let value = types.builder.structure("value", size: 32, [.init("four", four, at: 0)])
        let answer = types.create(.array, value: value, size: 32)
        guard case .success(let map) = answer else {
            return .absent(evidence: "a map with such a field: \(answer.errno?.name ?? "")")
        }
        return map.hasFields ? .present : .absent(evidence: "the fields are not seen: the map can be frozen")
    }
    static let resizableHash = Feature("resizable hash", since: "7.2") {
        let answer = BPFMap.create(.resizableHash, key: 4, value: 16, entries: 4, flags: .noPreallocation)
        guard let errno = answer.errno else { return .present }
        return .absent(evidence: "BPF_MAP_CREATE of type 35: \(errno.name) (\(errno.rawValue))")
    }
    /// Fields that point to user memory (6.13).
    static let userPointers = Feature("uptr", since: "6.13") {
        probe("uptr", .taskStorage, of: "program_only")
    }

    /// Kernels make an ordinary map where they do not know the tag: only one with fields cannot be frozen.
    private static func probe(
        _ tag: String, _ kind: BPFMap.Kind = .array, of type: String = Era.type
    )
        -> Feature.Presence
    {
        var types = ValueTypes()
        let value = types.value(tag, type)
        switch types.create(kind, value: value, size: 16) {
        case .failure(let errno):
            return .absent(evidence: "a map with a field tagged \(tag): \(errno.name) (\(errno.rawValue))")
        case .success(let map):
            return map.hasFields
                ? .present : .absent(evidence: "a field tagged \(tag) is not seen: the map can be frozen")
        }
    }
}
