// SPDX-License-Identifier: Apache-2.0
internal import TAP
internal import VMRunner

extension CaseResult {
    /// What is said of a case that had no chance to run, as its kernel did not boot.
    static func bootFailure(
        _ name: CaseID, _ title: String, _ kernel: KernelBuild, _ failure: BootFailure, _ console: [String]
    ) -> CaseResult {
        var diagnostics = Diagnostics()
        diagnostics["message"] = "the kernel did not boot: \(failure)"
        diagnostics["expected"] = "hello from the guest's init"
        diagnostics["observed"] = "\(failure)"
        diagnostics["kernel"] = kernel.origin
        if let hint = BootHint.of(failure, kernel.config) { diagnostics["hint"] = hint }
        if !console.isEmpty { diagnostics["console"] = console.joined(separator: "\n") }
        return CaseResult(
            kernel: kernel.release, name: name, title: title, outcome: .failed(.boot), diagnostics: diagnostics)
    }

    /// What is said of a kernel that could not be fetched or made ready.
    static func missing(kernel: String, _ error: HarnessError) -> CaseResult {
        var diagnostics = Diagnostics()
        diagnostics["message"] = "\(error)"
        diagnostics["hint"] = "bpftest kernels fetch \(kernel) tries again; what is cached needs no network"
        return CaseResult(
            kernel: kernel, name: CaseID(suite: "boot", id: "kernel"), title: "the kernel can be had",
            outcome: .failed(.missing), diagnostics: diagnostics)
    }
}

/// The likely cause of a failed boot, where the config or the message tells.
enum BootHint {
    static func of(_ failure: BootFailure, _ config: KernelConfig?) -> String? {
        switch failure {
        case .noInit:
            "the guest image was not unpacked or its init cannot run: CONFIG_BLK_DEV_INITRD and CONFIG_BINFMT_ELF must be y"
        case .initFailed:
            config == nil
                ? "the kernel's config is unknown: put it beside the image (config-RELEASE or .config), so that what is "
                    + "missing can be said before booting; its modules go to lib/modules/RELEASE beside it, or --modules"
                : "modules the config has as =m must be at hand: lib/modules/RELEASE beside the image, or --modules DIR"
        case .hung: "the console's last lines say how far it came; --boot-timeout gives it longer"
        case .panicked, .ended, .wrongVersion: nil
        }
    }
}
