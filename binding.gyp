# The CPU addon, build/Release/cpu.node. The kernels are compiled once for each instruction set, and
# the best one is chosen when the addon is loaded, so a build runs on every CPU of its architecture.
{
  "variables": {
    "families": [
      # takes longest, so it comes first
      "native/cpu/format.cpp",
      "native/cpu/attention.cpp",
      "native/cpu/attention_head.cpp",
      "native/cpu/distributed.cpp",
      "native/cpu/elementwise.cpp",
      "native/cpu/linear.cpp",
      "native/cpu/loss.cpp",
      "native/cpu/matmul.cpp",
      "native/cpu/movement.cpp",
      "native/cpu/normalization.cpp",
      "native/cpu/optimizer.cpp",
      "native/cpu/quantized.cpp",
      "native/cpu/random.cpp",
      "native/cpu/reductions.cpp",
      "native/cpu/rotary.cpp",
      "native/cpu/softmax.cpp",
      "native/cpu/table.cpp",
      "native/cpu/token_shift.cpp",
    ],
  },
  "target_defaults": {
    "cflags": ["-O3", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-uninitialized", "-Wno-maybe-uninitialized"],
    "cflags_cc": ["-std=c++17"],
    "cflags_cc!": ["-fno-exceptions", "-std=gnu++17", "-std=gnu++20"],
    "xcode_settings": {
      "GCC_OPTIMIZATION_LEVEL": "3",
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
      "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
      "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
      "MACOSX_DEPLOYMENT_TARGET": "11.0",
    },
    "msvs_settings": {
      "VCCLCompilerTool": { "ExceptionHandling": 1, "AdditionalOptions": ["/std:c++17", "/O2"] },
    },
    "defines": ["NAPI_VERSION=8"],
  },
  "targets": [
    {
      "target_name": "cpu",
      "sources": [
        "native/kernel.cpp",
        "native/watchdog.cpp",
        "native/arguments/arguments.cpp",
        "native/arguments/checks.cpp",
        "native/napi/binding.cpp",
        "native/napi/capture.cpp",
        "native/napi/process_group.cpp",
        "native/napi/value.cpp",
        "native/cpu/binding.cpp",
        "native/cpu/buffer.cpp",
        "native/cpu/dispatch.cpp",
        "native/cpu/mpi.cpp",
        "native/cpu/mpi_library.cpp",
        "native/cpu/parallel.cpp",
        "native/cpu/precision.cpp",
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": [
        "NODE_ADDON_API_CPP_EXCEPTIONS",
        "NODE_ADDON_API_CPP_EXCEPTIONS_ALL",
        # a worker that is being terminated takes no exception
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
      ],
      "dependencies": ["scalar"],
      "conditions": [
        # for dlopen() before glibc 2.34
        ["OS == 'linux'", { "libraries": ["-ldl"] }],
        ["target_arch == 'x64'", { "defines": ["HAS_X64"], "dependencies": ["avx2", "avx512", "avx512_bf16", "avx2_bf16"] }],
        ["target_arch == 'arm64'", { "defines": ["HAS_ARM64"], "dependencies": ["neon", "neon_bf16"] }],
      ],
    },
    {
      "target_name": "scalar",
      "type": "static_library",
      "sources": ["<@(families)"],
      "defines": ["SIMD=scalar", "SIMD_SCALAR"],
    },
  ],
  "conditions": [
    ["target_arch == 'x64'", {
      "targets": [
        {
          "target_name": "avx2",
          "type": "static_library",
          "sources": ["<@(families)"],
          "defines": ["SIMD=avx2", "SIMD_AVX2"],
          "cflags": ["-mavx2", "-mfma"],
          "xcode_settings": { "OTHER_CFLAGS": ["-mavx2", "-mfma"] },
          "msvs_settings": { "VCCLCompilerTool": { "AdditionalOptions": ["/arch:AVX2"] } },
        },
        {
          "target_name": "avx512",
          "type": "static_library",
          "sources": ["<@(families)"],
          "defines": ["SIMD=avx512", "SIMD_AVX512"],
          "cflags": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
          "xcode_settings": { "OTHER_CFLAGS": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"] },
          "msvs_settings": { "VCCLCompilerTool": { "AdditionalOptions": ["/arch:AVX512"] } },
        },
        {
          "target_name": "avx512_bf16",
          "type": "static_library",
          "sources": ["native/cpu/bf16.cpp"],
          "defines": ["SIMD=avx512_bf16", "SIMD_AVX512"],
          "cflags": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx512bf16", "-mfma", "-mprefer-vector-width=512"],
          "xcode_settings": { "OTHER_CFLAGS": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx512bf16", "-mfma"] },
          "msvs_settings": { "VCCLCompilerTool": { "AdditionalOptions": ["/arch:AVX512"] } },
        },
        {
          # bf16 in software, for tests
          "target_name": "avx2_bf16",
          "type": "static_library",
          "sources": ["native/cpu/bf16.cpp"],
          "defines": ["SIMD=avx2_bf16", "SIMD_AVX2"],
          "cflags": ["-mavx2", "-mfma"],
          "xcode_settings": { "OTHER_CFLAGS": ["-mavx2", "-mfma"] },
          "msvs_settings": { "VCCLCompilerTool": { "AdditionalOptions": ["/arch:AVX2"] } },
        },
      ],
    }],
    ["target_arch == 'arm64'", {
      "targets": [
        {
          "target_name": "neon",
          "type": "static_library",
          "sources": ["<@(families)"],
          "defines": ["SIMD=neon", "SIMD_NEON"],
        },
        {
          "target_name": "neon_bf16",
          "type": "static_library",
          "sources": ["native/cpu/bf16.cpp"],
          "defines": ["SIMD=neon_bf16", "SIMD_NEON"],
          "cflags": ["-march=armv8.2-a+bf16"],
          "xcode_settings": { "OTHER_CFLAGS": ["-march=armv8.2-a+bf16"] },
        },
      ],
    }],
  ],
}
