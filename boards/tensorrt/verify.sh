#!/usr/bin/env bash
# Type-checks edge/runtimes/tensorrt.py against the real TensorRT Python bindings of three releases. No GPU, no engine.
#
#   boards/tensorrt/verify.sh PYTHON [FILE]     PYTHON: 3.10 to 3.12 with numpy; FILE: instead of edge/runtimes/tensorrt.py
#
# The bindings (package index: tensorrt_cu*_bindings) are the compiled module that JetPack installs, without the libraries
# it links to. Empty libraries let it load, which is enough to write every class and signature to type stubs. Stubs,
# pyright and the bindings are made once, in build/tensorrt, and affect no other environment. Needs a C compiler.
# Exit code: 0 no type error and every planted mistake was caught, 1 otherwise.
set -euo pipefail

python=$(command -v "$1")
cd "$(dirname "$0")/../.."
source=${2:-edge/runtimes/tensorrt.py}
room=build/tensorrt

# release:package. 10.3 is in JetPack 6, 10.13 in JetPack 7.0, 11.4 in JetPack 7.2.2; 11 dropped deprecated calls.
releases=(10.3.0:tensorrt_cu12_bindings 10.13.0.35:tensorrt_cu12_bindings 11.4.0.106:tensorrt_cu13_bindings)

# Mistake in planted_mistakes.py: the releases in which it is one. The last two are right in TensorRT 10.
planted=(
  'execute_async_v2:10.3.0 10.13.0.35 11.4.0.106'
  'get_binding_index:10.3.0 10.13.0.35 11.4.0.106'
  'FP16:11.4.0.106'
  'INT8:11.4.0.106'
)

make_tools() {
  [ -x "$room/tools/bin/pyright" ] && return
  echo "setting up $room (once)"
  rm -rf "$room/tools"
  "$python" -m venv "$room/tools"
  "$room/tools/bin/pip" install --quiet pybind11-stubgen==3.0.0 pyright==1.1.414
}

make_libraries() {  # FOLDER MAJOR: libraries whose functions exist and do nothing
  local libraries=(
    'nvinfer createInferBuilder_INTERNAL createInferRefitter_INTERNAL createInferRuntime_INTERNAL getBuilderPluginRegistry getPluginRegistry'
    'nvonnxparser createNvOnnxParserRefitter_INTERNAL createNvOnnxParser_INTERNAL getNvOnnxParserVersion'
    'nvinfer_plugin initLibNvInferPlugins'
  )
  local library name functions
  mkdir -p "$1"
  for library in "${libraries[@]}"; do
    read -r name functions <<<"$library"
    printf 'void *%s(void) { return 0; }\n' $functions |
      cc -shared -fPIC -Wl,-soname,"lib$name.so.$2" -o "$1/lib$name.so.$2" -x c -
  done
}

make_stubs() {  # RELEASE PACKAGE
  local folder=$room/$1
  [ -e "$folder/stubs/tensorrt/__init__.pyi" ] && return
  rm -rf "$folder"
  "$room/tools/bin/pip" install --quiet --no-deps --target "$folder/package" "$2==$1"
  mv "$folder/package/tensorrt_bindings" "$folder/package/tensorrt"  # the name that JetPack gives it
  make_libraries "$folder/lib" "${1%%.*}"
  LD_LIBRARY_PATH=$folder/lib PYTHONPATH=$folder/package \
    "$room/tools/bin/pybind11-stubgen" tensorrt --ignore-all-errors --output-dir "$folder/partial" >"$folder/stubgen.log" 2>&1
  mv "$folder/partial" "$folder/stubs"
}

check() {  # RELEASE FILE: runs pyright on a copy of FILE, in a folder without another file of its name
  local folder=$room/$1/check
  mkdir -p "$folder"
  cp "$2" "$folder/checked.py"
  cat >"$folder/pyrightconfig.json" <<END
{"include": ["checked.py"], "stubPath": "../stubs", "extraPaths": ["$PWD"], "pythonVersion": "3.10"}
END
  "$room/tools/bin/pyright" --pythonpath "$python" --project "$folder"
}

failed=0
make_tools
for entry in "${releases[@]}"; do
  release=${entry%%:*}
  make_stubs "$release" "${entry#*:}"
  if output=$(check "$release" "$source"); then
    echo "TensorRT $release: no type error in $source"
  else
    echo "TensorRT $release: $output"
    failed=1
  fi
  found=$(check "$release" tests/boards/tensorrt/planted_mistakes.py || true)
  for mistake in "${planted[@]}"; do
    name=${mistake%%:*}
    case " ${mistake#*:} " in *" $release "*) expected=caught ;; *) expected=accepted ;; esac
    case $found in *"\"$name\""*) outcome=caught ;; *) outcome=accepted ;; esac
    echo "TensorRT $release: planted $name is $outcome"
    [ $outcome = $expected ] || { echo "failed: expected it to be $expected"; failed=1; }
  done
done
exit "$failed"
