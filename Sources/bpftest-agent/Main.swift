// SPDX-License-Identifier: Apache-2.0
import CBpf
@main struct Main { static func main() { print("libbpf \(libbpf_major_version()).\(libbpf_minor_version())"); _ = unsafe bpf_object__open("x") } }
