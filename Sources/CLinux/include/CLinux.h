// SPDX-License-Identifier: Apache-2.0
// The parts of Linux's C interface that Swift's Glibc module leaves out, one header per subject.
#pragma once

#include "clinux_bpf.h"
#include "clinux_keys.h"
#include "clinux_memory.h"
#include "clinux_namespaces.h"
#include "clinux_packets.h"
#include "clinux_spawn.h"
#include "clinux_system.h"
#include "clinux_terminal.h"
