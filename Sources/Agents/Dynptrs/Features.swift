// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// Features that the suites here are about.
enum Features {
    /// bpf_dynptr_from_mem and the other helpers: 5.19 has all of them but the user ring buffer's.
    static let dynptrs = Feature.kfunc("bpf_dynptr_write", since: "5.19")
    static let userRing = Feature("user-ringbuf", since: "6.1") {
        created(type: 31, keySize: 0, valueSize: 0, entries: 4096)
    }
    static let largeValues = Feature("array-values-of-16-MiB", since: "6.2") {
        created(type: 2, keySize: 4, valueSize: 1 << 24, entries: 1)
    }
    /// bpf_dynptr_slice came in 6.4; the functions that look at and change dynptrs in 6.5.
    static let slice = Feature.kfunc("bpf_dynptr_slice", since: "6.4")
    static let clone = Feature.kfunc("bpf_dynptr_clone", since: "6.5")
    static let fromSkb = Feature.kfunc("bpf_dynptr_from_skb", since: "6.4")
    static let fromXDP = Feature.kfunc("bpf_dynptr_from_xdp", since: "6.4")
    static let copy = Feature.kfunc("bpf_dynptr_copy", since: "6.16")
    static let memset = Feature.kfunc("bpf_dynptr_memset", since: "6.17")
    static let fromMeta = Feature.kfunc("bpf_dynptr_from_skb_meta", since: "6.18")
    static let fromFile = Feature.kfunc("bpf_dynptr_from_file", since: "6.19")

    static let crypto = Feature.kfunc("bpf_crypto_encrypt", since: "6.10", config: ["CONFIG_CRYPTO"])

    static let iterNum = Feature.kfunc("bpf_iter_num_new", since: "6.4")
    static let iterTask = Feature.kfunc("bpf_iter_task_new", since: "6.7")
    static let iterVMA = Feature.kfunc("bpf_iter_task_vma_new", since: "6.7")
    static let iterCSS = Feature.kfunc("bpf_iter_css_new", since: "6.7", config: ["CONFIG_CGROUPS"])
    static let iterCSSTask = Feature.kfunc("bpf_iter_css_task_new", since: "6.7", config: ["CONFIG_CGROUPS"])
    static let iterBits = Feature.kfunc("bpf_iter_bits_new", since: "6.11")
    static let iterCache = Feature.kfunc("bpf_iter_kmem_cache_new", since: "6.14")
    static let iterDmabuf = Feature.kfunc(
        "bpf_iter_dmabuf_new", since: "6.16", config: ["CONFIG_DMA_SHARED_BUFFER"])
    static let cgroupFromID = Feature.kfunc("bpf_cgroup_from_id", since: "6.3", config: ["CONFIG_CGROUPS"])
    /// Where DMA buffers come from without any device.
    static let dmaHeap = Feature("dma-heap", since: "5.6", config: ["CONFIG_DMABUF_HEAPS_SYSTEM"]) {
        do throws(Errno) {
            _ = try Descriptors.open("/dev/dma_heap/system", O_RDONLY)
            return .present
        } catch {
            return .absent(evidence: "/dev/dma_heap/system: \(error.name) (\(error.rawValue))")
        }
    }
    static let exceptions = Feature.kfunc("bpf_throw", since: "6.7")

    /// Whether a map can be created; it is gone at once.
    static func created(type: UInt32, keySize: UInt32, valueSize: UInt32, entries: UInt32) -> Feature.Presence {
        var attr = Attr(size: 72)
        attr.set(type, at: 0)
        attr.set(keySize, at: 4)
        attr.set(valueSize, at: 8)
        attr.set(entries, at: 12)
        switch attr.call(.mapCreate) {
        case .success(let map):
            FileHandle(adopting: map).close()
            return .present
        case .failure(let errno):
            return .absent(
                evidence: "BPF_MAP_CREATE of type \(type), value size \(valueSize): \(errno.name) (\(errno.rawValue))")
        }
    }
}
