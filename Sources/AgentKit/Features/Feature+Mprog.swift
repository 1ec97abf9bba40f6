// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import SystemPackage

extension Feature {
    /// tcx: BPF_PROG_QUERY with BPF_TCX_INGRESS on `lo` is refused with EINVAL by a kernel that does not know the
    /// attach type (commit e420bed02507, 6.6).
    public static let tcx = Feature("tcx", since: "6.6", config: ["CONFIG_NET_XGRESS"]) {
        switch MprogTarget(ifindex: 1, type: .tcxIngress).query(room: 0) {
        case .success: .present
        case .failure(let errno):
            .absent(evidence: "BPF_PROG_QUERY of BPF_TCX_INGRESS on lo: \(errno.name) (\(errno.rawValue))")
        }
    }
}
