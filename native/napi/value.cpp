// Values other than buffers, read through Node-API.

#include "../arguments/value.h"

namespace tinybard {

bool readNumber(napi_env env, napi_value value, double* x) {
  return napi_get_value_double(env, value, x) == napi_ok;
}

bool readFlag(napi_env env, napi_value value, bool* x) {
  return napi_get_value_bool(env, value, x) == napi_ok;
}

bool readListLength(napi_env env, napi_value list, uint32_t* length) {
  bool isArray = false;
  napi_is_array(env, list, &isArray);
  return isArray && napi_get_array_length(env, list, length) == napi_ok;
}

bool readElement(napi_env env, napi_value list, uint32_t i, napi_value* element) {
  return napi_get_element(env, list, i, element) == napi_ok;
}

bool isNull(napi_env env, napi_value value) {
  napi_valuetype type;
  napi_typeof(env, value, &type);
  return type == napi_null;
}

} // namespace tinybard
