// JavaScript objects that own a native value. Finalizers run only between the tasks of JavaScript;
// a weak reference shows at once that the garbage collector has freed an object, so that a
// synchronous loop can find and reuse what it has dropped.
#pragma once

#include <napi.h>

#include <memory>
#include <utility>
#include <vector>

namespace tinybard {

/** The objects of one type. T::tag is the type's napi_type_tag. */
template <class T>
class Handles {
 public:
  /** True if the values of collected objects stay until they are taken; otherwise a finalizer
   *  deletes them. */
  bool keepsCollected = false;

  /** Makes an object that owns the value. Not an ObjectWrap, whose constructor JavaScript could
   *  call. */
  Napi::Object make(Napi::Env env, std::unique_ptr<T> value) {
    const Napi::Object object = Napi::Object::New(env);
    object.TypeTag(&T::tag);
    entries.push_back(
        std::make_unique<Entry>(Entry{std::move(value), nullptr, this, entries.size()}));
    Entry& entry = *entries.back();
    if (napi_wrap(env, object, &entry, finalize, nullptr, &entry.object) == napi_ok) return object;
    entries.pop_back();
    throw Napi::Error::New(env);
  }

  /** Returns the value of an object that make() made; null for any other value. */
  static T* get(napi_env env, napi_value value) {
    napi_valuetype type;
    bool isTagged = false;
    void* entry = nullptr;
    napi_typeof(env, value, &type);
    if (type == napi_object) napi_check_object_type_tag(env, value, &T::tag, &isTagged);
    if (isTagged) napi_unwrap(env, value, &entry);
    return entry ? static_cast<Entry*>(entry)->value.get() : nullptr;
  }

  /** Returns the values of collected objects whose finalizers have run. */
  std::vector<std::unique_ptr<T>> takeFinalized() { return std::exchange(collected, {}); }

  /** Returns the values of all collected objects. */
  std::vector<std::unique_ptr<T>> sweep(napi_env env) {
    for (size_t i = 0; i < entries.size();) {
      if (isReachable(env, *entries[i])) i++;
      else collected.push_back(remove(env, *entries[i]));
    }
    return takeFinalized();
  }

  /** Calls f(value) for each object that has not been collected. */
  template <class F>
  void each(F f) {
    for (const auto& entry : entries) f(*entry->value);
  }

 private:
  struct Entry {
    std::unique_ptr<T> value;
    napi_ref object; // weak
    Handles* owner;
    size_t index; // in entries
  };

  static void finalize(napi_env env, void* data, void*) {
    Entry& entry = *static_cast<Entry*>(data);
    Handles& owner = *entry.owner;
    std::unique_ptr<T> value = owner.remove(env, entry);
    if (owner.keepsCollected) owner.collected.push_back(std::move(value));
  }

  static bool isReachable(napi_env env, const Entry& entry) {
    napi_handle_scope scope;
    napi_value object = nullptr;
    napi_open_handle_scope(env, &scope);
    napi_get_reference_value(env, entry.object, &object);
    napi_close_handle_scope(env, scope);
    return object != nullptr;
  }

  /** Deletes an entry, and its finalizer if that has not run. Returns its value. */
  std::unique_ptr<T> remove(napi_env env, Entry& entry) {
    std::unique_ptr<T> value = std::move(entry.value);
    const size_t index = entry.index;
    napi_delete_reference(env, entry.object);
    std::swap(entries[index], entries.back());
    entries[index]->index = index;
    entries.pop_back();
    return value;
  }

  std::vector<std::unique_ptr<Entry>> entries;
  std::vector<std::unique_ptr<T>> collected;
};

} // namespace tinybard
